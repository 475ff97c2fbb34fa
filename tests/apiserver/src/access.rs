//! Who may do what.

/// A user of the server, known by a bearer token or the name in a client certificate.
#[derive(Clone, Debug)]
pub struct User {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Bearer token.
    pub token: String,
    everything: bool,
    allowed: Vec<Rule>,
    denied: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    verb: String,
    target: String,
    namespace: Option<String>,
}

impl User {
    /// A user who may read nothing until it is allowed.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            groups: vec!["system:authenticated".to_owned()],
            token: format!("token-of-{name}"),
            everything: false,
            allowed: Vec::new(),
            denied: Vec::new(),
        }
    }

    /// A user who may do everything that is not denied.
    pub fn admin(name: &str) -> Self {
        Self { everything: true, ..Self::new(name) }
    }

    /// Allows a verb (`get`, `list`, `create`, `impersonate`, `*`) on a resource (`pods`,
    /// `ippools.crd.projectcalico.org`, `nodes/proxy`) or path (`/flagz`).
    #[must_use]
    pub fn allow(mut self, verb: &str, target: &str) -> Self {
        self.allowed.push(Rule { verb: verb.to_owned(), target: target.to_owned(), namespace: None });
        self
    }

    /// Allows it in one namespace.
    #[must_use]
    pub fn allow_in(mut self, namespace: &str, verb: &str, target: &str) -> Self {
        let namespace = Some(namespace.to_owned());
        self.allowed.push(Rule { verb: verb.to_owned(), target: target.to_owned(), namespace });
        self
    }

    /// Takes a right away from somebody who may do everything.
    #[must_use]
    pub fn deny(mut self, verb: &str, target: &str) -> Self {
        self.denied.push(Rule { verb: verb.to_owned(), target: target.to_owned(), namespace: None });
        self
    }

    pub(crate) fn may(&self, verb: &str, target: &str, namespace: &str) -> bool {
        let covers = |rule: &Rule| {
            [verb, "*"].contains(&rule.verb.as_str())
                && [target, "*"].contains(&rule.target.as_str())
                && rule.namespace.as_ref().is_none_or(|only| only == namespace)
        };
        !self.denied.iter().any(covers) && (self.everything || self.allowed.iter().any(covers))
    }
}
