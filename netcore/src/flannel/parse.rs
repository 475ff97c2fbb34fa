//! Texts to [`NetConf`] and [`SubnetEnv`].

use serde_json::Value;

use super::model::{NetConf, SubnetEnv};
use crate::{
    problem::{Problem, Problems},
    text::{json, line_of, scalar},
    words::column_of,
};

/// Reads `net-conf.json`.
pub fn parse_net_conf(text: &str) -> Result<NetConf, Problem> {
    let value = json(text)?;
    if !value.is_object() {
        return Err(Problem::of_line(1, text, "not an object; flannel's net-conf.json has a Network field"));
    }
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    Ok(NetConf {
        network: scalar(value.get("Network")),
        ipv6_network: scalar(value.get("IPv6Network")),
        enable_ipv4: flag("EnableIPv4").unwrap_or(true),
        enable_ipv6: flag("EnableIPv6").unwrap_or(false),
        subnet_len: scalar(value.get("SubnetLen")).parse().ok(),
        backend: scalar(value.pointer("/Backend/Type")),
        network_line: line_of(text, &["Network"]),
        ipv6_network_line: line_of(text, &["IPv6Network"]),
    })
}

/// Reads `subnet.env`; lines that are not understood are given beside what was.
pub fn parse_subnet_env(text: &str) -> (SubnetEnv, Vec<Problem>) {
    let mut env = SubnetEnv::default();
    let mut problems = Problems::default();
    for (line, content) in (1..).zip(text.lines()) {
        let whole = content;
        let content = content.trim().trim_start_matches("export ");
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let Some((name, value)) = content.split_once('=') else {
            problems.unknown(line, content, "a NAME=VALUE line");
            continue;
        };
        let value = value.trim().trim_matches(['"', '\'']);
        let column = column_of(whole, value);
        match name.trim() {
            "FLANNEL_NETWORK" => set(&mut env.network, &mut env.lines[0], value, line),
            "FLANNEL_SUBNET" => set(&mut env.subnet, &mut env.lines[1], value, line),
            "FLANNEL_IPV6_NETWORK" => set(&mut env.ipv6_network, &mut env.lines[2], value, line),
            "FLANNEL_IPV6_SUBNET" => set(&mut env.ipv6_subnet, &mut env.lines[3], value, line),
            "FLANNEL_MTU" => match value.parse() {
                Ok(mtu) => env.mtu = Some(mtu),
                Err(_) => problems.add(line, column, value, "not an MTU"),
            },
            "FLANNEL_IPMASQ" => match value {
                "true" => env.ip_masq = Some(true),
                "false" => env.ip_masq = Some(false),
                _ => problems.add(line, column, value, "neither true nor false"),
            },
            _ => {}
        }
    }
    (env, problems.into_vec())
}

fn set(field: &mut Option<String>, at: &mut usize, value: &str, line: usize) {
    if !value.is_empty() {
        *field = Some(value.to_owned());
        *at = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_net_conf() {
        let text = "{\n  \"Network\": \"10.244.0.0/16\",\n  \"EnableNFTables\": false,\n  \"Backend\": {\"Type\": \"vxlan\"}\n}";
        let conf = parse_net_conf(text).unwrap();
        assert_eq!((conf.network.as_str(), conf.network_line), ("10.244.0.0/16", 2));
        assert_eq!(conf.backend, "vxlan");
        assert!(conf.enable_ipv4 && !conf.enable_ipv6);
    }

    #[test]
    fn broken_net_conf_names_its_line() {
        assert_eq!(parse_net_conf("{\n\"Network\": 1,,\n}").unwrap_err().line, 2);
        assert!(parse_net_conf("[]").is_err());
    }

    // the seed's flannel node
    #[test]
    fn a_real_subnet_env() {
        let text =
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
        let (env, errors) = parse_subnet_env(text);
        assert!(errors.is_empty());
        assert_eq!(env.network.as_deref(), Some("10.244.0.0/16"));
        assert_eq!(env.subnet.as_deref(), Some("10.244.0.1/24"));
        assert_eq!((env.mtu, env.ip_masq), (Some(1450), Some(true)));
        assert_eq!(env.lines, [1, 2, 0, 0]);
    }

    #[test]
    fn a_half_written_subnet_env_keeps_the_rest() {
        let (env, errors) = parse_subnet_env("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUB\nFLANNEL_MTU=x\n");
        assert_eq!(env.network.as_deref(), Some("10.244.0.0/16"));
        assert_eq!(errors.iter().map(|e| e.line).collect::<Vec<_>>(), [2, 3]);
    }
}
