//! What comments say: kube-proxy writes the Service's port into its rules, as long as the cluster has
//! not more than 1,000 endpoints; newer releases of Felix write the policy.

use super::{Name, Names};
use crate::proxy::kernel::ServicePort;

/// What kube-proxy writes before a Service's port.
const BEFORE: [&str; 7] = [
    "masquerade traffic for ",
    "masquerade LOCAL traffic for ",
    "pod traffic for ",
    "route LOCAL traffic for ",
    "other traffic to ",
    "Redirect pods trying to reach external loadbalancer VIP to clusterIP for ",
    "Balancing rule for ",
];

impl Names {
    /// The names in a rule's comment. Only what kube-proxy and Felix write is read, for anybody may
    /// write a comment: the owner of the rule is to be asked first.
    pub fn of_comment(&self, comment: &str) -> Vec<Name> {
        let mut names = Vec::new();
        let rest = BEFORE.iter().find_map(|before| comment.strip_prefix(before)).unwrap_or(comment);
        let mut words = rest.split(' ');
        if let Some(port) = words.next().and_then(service) {
            names.push(Name::Service(port));
            if words.next() == Some("->") {
                let end = words.next().and_then(|socket| socket.parse::<std::net::SocketAddr>().ok());
                names.extend(end.map(|end| self.end(end.ip(), Some(end.port()))));
            }
        } else if let Some(id) = comment.strip_prefix("Policy ").and_then(|rest| rest.split(' ').next()) {
            names.extend(Some(id).filter(|id| id.contains('/')).and_then(|id| self.policy_of(id)));
        }
        names
    }
}

/// `shop/web:http`: names as Kubernetes takes them and nothing else.
fn service(word: &str) -> Option<ServicePort> {
    let port = ServicePort::parse(word)?;
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
    };
    let all = [Some(&port.namespace), Some(&port.name), port.port.as_ref()];
    let sound = all.into_iter().flatten().all(|name| is_name(name));
    sound.then_some(port)
}
