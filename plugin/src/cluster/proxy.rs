//! Which proxy a request goes through, by the rules that kubectl follows: the cluster's own
//! `proxy-url`, else the environment's unless `NO_PROXY` names the server.

use std::net::IpAddr;

use http::Uri;
use netcore::cidr::Cidr;

/// The proxy that the environment names for a server; `env` reads a variable.
pub(super) fn from_environment(server: &Uri, env: impl Fn(&str) -> Option<String>) -> Option<String> {
    let either = |upper: &str| env(upper).or_else(|| env(&upper.to_lowercase())).filter(|value| !value.is_empty());
    let https = server.scheme_str() == Some("https");
    let proxy = either(if https { "HTTPS_PROXY" } else { "HTTP_PROXY" })?;
    let host = server.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = server.port_u16().unwrap_or(if https { 443 } else { 80 });
    let exempt = either("NO_PROXY").unwrap_or_default();
    if is_local(host) || exempt.split(',').any(|entry| exempts(entry.trim(), host, port)) {
        return None;
    }
    Some(if proxy.contains("://") { proxy } else { format!("http://{proxy}") })
}

fn is_local(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether one entry of `NO_PROXY` is about a host: `*`, an address, a prefix, a domain with what is
/// below it, `.domain` with only what is below it; all but a prefix with a port if they like.
fn exempts(entry: &str, host: &str, port: u16) -> bool {
    if entry.is_empty() {
        return false;
    }
    if entry == "*" {
        return true;
    }
    let address = host.parse::<IpAddr>().ok();
    if let Ok(prefix) = entry.parse::<Cidr>() {
        return address.is_some_and(|ip| prefix.contains_ip(ip));
    }
    let (name, only_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, digits.parse::<u16>().ok()),
        _ => (entry, None),
    };
    if only_port.is_some_and(|only| only != port) {
        return false;
    }
    let name = name.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    if let Ok(ip) = name.parse::<IpAddr>() {
        return address == Some(ip);
    }
    let host = host.to_lowercase();
    let below = name.trim_start_matches('*');
    match below.strip_prefix('.') {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => host == below || host.strip_suffix(below).is_some_and(|rest| rest.ends_with('.')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(server: &str, variables: &[(&str, &str)]) -> Option<String> {
        from_environment(&server.parse().unwrap(), |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_scheme_chooses_the_variable() {
        let variables = [("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2")];
        assert_eq!(proxy("https://api.example:6443", &variables).as_deref(), Some("http://s:1"));
        assert_eq!(proxy("http://api.example", &variables).as_deref(), Some("http://p:2"));
        assert_eq!(proxy("https://127.0.0.1:6443", &variables), None);
        assert_eq!(proxy("https://[::1]:6443", &variables), None);
        assert_eq!(proxy("https://localhost:6443", &variables), None);
        assert_eq!(proxy("https://api.example", &[("HTTPS_PROXY", "")]), None);
    }

    #[test]
    fn no_proxy_is_about_the_server() {
        for (exempt, server, direct) in [
            ("*", "https://api.example", true),
            ("10.0.0.0/8", "https://10.1.2.3:6443", true),
            ("10.0.0.0/8", "https://11.1.2.3:6443", false),
            ("10.1.2.3", "https://10.1.2.3:6443", true),
            ("10.1.2.3:6443", "https://10.1.2.3:6443", true),
            ("10.1.2.3:443", "https://10.1.2.3:6443", false),
            ("fd00::/8", "https://[fd00::1]:6443", true),
            ("[fd00::1]:6443", "https://[fd00::1]:6443", true),
            ("fd00::1", "https://[fd00::1]:6443", true),
            ("example", "https://api.example", true),
            ("example", "https://apiexample", false),
            (".example", "https://api.example", true),
            (".example", "https://example", false),
            ("*.example", "https://api.example", true),
            ("API.Example:443", "https://api.example", true),
            ("a,, b , api.example", "https://api.example", true),
            ("p", "https://api.example", false),
        ] {
            let found = proxy(server, &[("HTTPS_PROXY", "http://p:1"), ("no_proxy", exempt)]);
            assert_eq!(found.is_none(), direct, "{exempt} {server}");
        }
    }
}
