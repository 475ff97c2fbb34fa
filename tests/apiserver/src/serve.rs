//! From a request to its answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    Recorded,
    access::User,
    config::{Config, Moment},
    discovery,
    encode::protobuf,
    fault::Trouble,
    kinds::Kind,
    list::{self, Format, Query, Token},
    objects::{self, Collection},
    pods::Pods,
    reply::{self, Reply},
    select::Selector,
    services::{self, Allocator},
    store::{Store, Write},
    streams,
};

/// The state of the cluster that every list is of.
const VERSION: i64 = 1000;
const INCONSISTENT: &str = "The provided continue parameter is too old to display a consistent list result. \
    You can start a new list without the continue parameter, or use the continue token in this response to retrieve \
    the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that \
    were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";
const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. \
    You can start a new list without the continue parameter.";

/// A server's mind.
pub(crate) struct Cluster {
    config: Config,
    tables: Vec<(Kind, std::sync::Arc<dyn Collection>)>,
    address: String,
    pub(crate) pods: Pods,
    store: Arc<Store>,
    recorded: Mutex<Vec<Recorded>>,
    seen: Mutex<HashMap<String, usize>>,
    dice: Mutex<u64>,
}

/// One request, read.
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) certificate: Option<String>,
    pub(crate) body: Vec<u8>,
    /// The connection, where it is to be used for something else.
    pub(crate) upgrade: Mutex<Option<hyper::upgrade::OnUpgrade>>,
}

impl Asked {
    fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        pairs(&self.query).into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }
}

/// The pairs of a query, decoded.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent(key), percent(value))
        })
        .collect()
}

fn percent(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                u8::from_str_radix(&String::from_utf8_lossy(&hex), 16).unwrap_or(b'?')
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// A path into the API, taken apart.
struct Target {
    group: String,
    version: String,
    namespace: Option<String>,
    plural: String,
    name: Option<String>,
    sub: Vec<String>,
}

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').map(percent);
        let (group, version) = match parts.next()?.as_str() {
            "api" => (String::new(), parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<String> = parts.collect();
        let namespace = (rest.len() >= 3 && rest.first()? == "namespaces").then(|| {
            let namespace = rest.remove(1);
            rest.remove(0);
            namespace
        });
        let mut rest = rest.into_iter();
        let (plural, name) = (rest.next()?, rest.next());
        Some(Self { group, version, namespace, plural, name, sub: rest.collect() })
    }

    fn resource(&self) -> String {
        match self.sub.first() {
            Some(sub) => format!("{}/{sub}", self.plural),
            None if self.group.is_empty() => self.plural.clone(),
            None => format!("{}.{}", self.plural, self.group),
        }
    }
}

impl Cluster {
    pub(crate) fn new(mut config: Config, address: String) -> Self {
        let tables = config.tables();
        let dice = Mutex::new(config.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self {
            config,
            tables,
            address,
            pods: Pods::default(),
            store: Arc::default(),
            recorded: Mutex::default(),
            seen: Mutex::default(),
            dice,
        }
    }

    pub(crate) fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().expect("no panic while recording").clone()
    }

    /// The place of a kind among the tables.
    fn table(&self, plural: &str) -> Option<(usize, &Arc<dyn Collection>)> {
        let found = self.tables.iter().position(|(kind, _)| kind.plural == plural)?;
        Some((found, &self.tables[found].1))
    }

    /// An object as it is now.
    pub(crate) fn object(&self, plural: &str, key: &str) -> Option<Value> {
        let (index, base) = self.table(plural)?;
        let objects = self.store.objects(index, base);
        objects.find(key).ok().map(|place| objects.value(place))
    }

    pub(crate) fn objects(&self, plural: &str) -> Vec<Value> {
        let Some((index, base)) = self.table(plural) else { return Vec::new() };
        let objects = self.store.objects(index, base);
        (0..objects.len()).map(|place| objects.value(place)).collect()
    }

    pub(crate) fn put(&self, plural: &str, object: Value) {
        let table = self.table(plural).expect("a kind that is served");
        self.store.put(table, object);
    }

    pub(crate) fn take(&self, plural: &str, key: &str) -> Option<Value> {
        self.store.take(self.table(plural)?, key)
    }

    /// A client's write; what the controllers make of a deletion comes by and by.
    fn write(&self, asked: &Asked, index: usize, target: &Target) -> Reply {
        let (kind, base) = &self.tables[index];
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let keeps = asked.parameter("dryRun").is_none();
        let write = Write { method: &asked.method, body: &asked.body, keeps };
        let (reply, deleted) = self.store.write((index, base), kind, (namespace, target.name.as_deref()), &write);
        if let (Some(deleted), Some(controller)) = (deleted, &self.config.controller) {
            for (step, (delay, object)) in
                controller(&deleted, &|plural, key| self.object(plural, key)).into_iter().enumerate()
            {
                let (store, base) = (Arc::clone(&self.store), Arc::clone(base));
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    // what was deleted meanwhile does not come back
                    if step == 0 || store.has((index, &base), &object) {
                        store.put((index, &base), object);
                    }
                });
            }
        }
        reply
    }

    fn kinds(&self) -> Vec<&Kind> {
        self.tables.iter().map(|(kind, _)| kind).collect()
    }

    /// The answer to a request, with what is configured to go wrong.
    pub(crate) async fn answer(&self, asked: Asked) -> Reply {
        let user = self.user(&asked);
        let recorded = self.record(&asked, user.as_ref());
        let told = |moment| {
            if let Some(watcher) = &self.config.watcher {
                watcher(moment, &recorded, &crate::Hands { cluster: self });
            }
        };
        told(Moment::Asked);
        let earlier = {
            let mut seen = self.seen.lock().expect("no panic while counting");
            let count = seen.entry(asked.path.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let trouble =
            self.config.faults.iter().find(|fault| fault.strikes(&asked.path, earlier)).map(|fault| fault.trouble);
        let Some(user) = user else {
            return reply::failure(401, "Unauthorized", "Unauthorized", None);
        };
        let reply = match trouble {
            None => self.route(&asked, &user, None).await,
            Some(trouble) => self.troubled(&asked, &user, trouble).await,
        };
        told(Moment::Done);
        reply
    }

    async fn troubled(&self, asked: &Asked, user: &User, trouble: Trouble) -> Reply {
        match trouble {
            Trouble::Unauthorized => reply::failure(401, "Unauthorized", "Unauthorized", None),
            Trouble::Forbidden => forbidden(asked, user),
            Trouble::NotFound => reply::page_not_found(),
            Trouble::TooManyRequests { retry_after } => {
                let mut reply = reply::failure(
                    429,
                    "TooManyRequests",
                    "Too many requests, please try again later.",
                    Some(json!({"retryAfterSeconds": retry_after})),
                );
                reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
                reply
            }
            Trouble::Internal => {
                let message = "Internal error occurred: etcdserver: mvcc: database space exceeded";
                reply::failure(500, "InternalError", message, None)
            }
            Trouble::Unavailable => reply::failure(503, "ServiceUnavailable", "apiserver is shutting down", None),
            Trouble::Hang => {
                std::future::pending::<()>().await;
                reply::page_not_found()
            }
            Trouble::Expired { token } => match Self::expired(asked, token) {
                Some(reply) => reply,
                None => self.route(asked, user, Some(trouble)).await,
            },
            Trouble::NotAcceptable
                if asked.header(header::ACCEPT).starts_with("application/vnd.kubernetes.protobuf") =>
            {
                list::not_acceptable(false)
            }
            Trouble::CloseMidBody => {
                reply::with_body(self.route(asked, user, Some(trouble)).await, |body| reply::broken_off(&body)).await
            }
            Trouble::Trickle => reply::with_body(self.route(asked, user, Some(trouble)).await, reply::trickled).await,
            Trouble::TruncatedJson => {
                reply::with_body(self.route(asked, user, Some(trouble)).await, |mut body| {
                    body.truncate(body.len() / 2);
                    reply::Payload::Whole(Some(body.into()))
                })
                .await
            }
            Trouble::NotAcceptable | Trouble::NoProtobuf | Trouble::GarbageProtobuf => {
                self.route(asked, user, Some(trouble)).await
            }
        }
    }

    /// 410 for a token of an old state.
    fn expired(asked: &Asked, with_token: bool) -> Option<Reply> {
        let token = Token::decode(&asked.parameter("continue")?).ok()?;
        if token.version < 0 {
            return None;
        }
        let (message, metadata) =
            if with_token { (INCONSISTENT, json!({"continue": token.inconsistent()})) } else { (EXPIRED, json!({})) };
        Some(reply::failure_with(410, "Expired", message, None, &metadata))
    }

    fn record(&self, asked: &Asked, user: Option<&User>) -> Recorded {
        let headers = asked
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let recorded = Recorded {
            method: asked.method.to_string(),
            path: asked.path.clone(),
            query: asked.query.clone(),
            headers,
            user: user.map(|user| user.name.clone()),
        };
        self.recorded.lock().expect("no panic while recording").push(recorded.clone());
        recorded
    }

    /// Who asks: by token or certificate, and on whose behalf.
    fn user(&self, asked: &Asked) -> Option<User> {
        let token = asked.header(header::AUTHORIZATION).strip_prefix("Bearer ").map(str::trim);
        let user = match (token, &asked.certificate) {
            (Some(token), _) => self.config.users.iter().find(|user| user.token == token)?,
            (None, Some(name)) => self.config.users.iter().find(|user| user.name == *name)?,
            (None, None) => return None,
        };
        let other = asked.header("impersonate-user");
        if other.is_empty() || !user.may("impersonate", "users", "") {
            return Some(user.clone());
        }
        let mut other =
            self.config.users.iter().find(|user| user.name == other).cloned().unwrap_or_else(|| User::new(other));
        let groups = asked.headers.get_all("impersonate-group");
        other.groups.extend(groups.iter().filter_map(|group| group.to_str().ok()).map(str::to_owned));
        Some(other)
    }

    async fn route(&self, asked: &Asked, user: &User, trouble: Option<Trouble>) -> Reply {
        let path = asked.path.trim_end_matches('/');
        let (kinds, accept) = (self.kinds(), asked.header(header::ACCEPT));
        let mode = self.config.discovery;
        match (path, path.matches('/').count()) {
            ("/api", _) => discovery::root(&kinds, true, mode, accept, &self.address),
            ("/apis", _) => discovery::root(&kinds, false, mode, accept, &self.address),
            ("/version", _) => self.version(),
            ("/healthz" | "/readyz" | "/livez", _) => reply::text(StatusCode::OK, "ok"),
            ("/flagz" | "/metrics", _) if !user.may("get", path, "") => forbidden(asked, user),
            ("/flagz", _) => self.flagz(accept),
            ("/metrics", _) => reply::text(StatusCode::OK, self.metrics()),
            (path, 2) if path.starts_with("/api/") => {
                discovery::version(&kinds, "", &path[5..]).unwrap_or_else(reply::page_not_found)
            }
            (path, 2) if path.starts_with("/apis/") => {
                discovery::group(&kinds, &path[6..]).unwrap_or_else(reply::page_not_found)
            }
            (path, 3) if path.starts_with("/apis/") => {
                let (group, version) = path[6..].split_once('/').unwrap_or((&path[6..], ""));
                discovery::version(&kinds, group, version).unwrap_or_else(reply::page_not_found)
            }
            _ => match Target::parse(path) {
                Some(target) => self.resource(asked, user, &target, trouble).await,
                None => reply::page_not_found(),
            },
        }
    }

    async fn resource(&self, asked: &Asked, user: &User, target: &Target, trouble: Option<Trouble>) -> Reply {
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let verb = match (&asked.method, &target.name) {
            (&Method::GET, Some(_)) => "get",
            (&Method::GET, None) => "list",
            (&Method::POST, _) => "create",
            (&Method::DELETE, _) => "delete",
            (&Method::PATCH, _) => "patch",
            _ => "update",
        };
        let index = self.tables.iter().position(|(kind, _)| {
            kind.plural == target.plural && kind.group == target.group && kind.version == target.version
        });
        let known = index.map(|index| (index, &self.tables[index].0, self.store.objects(index, &self.tables[index].1)));
        if !user.may(verb, &target.resource(), namespace) {
            return forbidden(asked, user);
        }
        let Some((index, kind, objects)) = known else {
            let group = self.tables.iter().any(|(kind, _)| kind.group == target.group);
            return if group { reply::no_such_resource() } else { reply::page_not_found() };
        };
        match (verb, &target.name) {
            ("create", None) if kind.plural == "services" => self.create_service(asked, namespace),
            ("create", None) if kind.plural == "pods" && self.config.admits.is_some() => match &self.config.admits {
                Some(admits) => self.pods.create(admits, namespace, &asked.body),
                None => reply::page_not_found(),
            },
            ("delete", Some(name)) if kind.plural == "pods" && self.config.admits.is_some() => {
                let known = objects.find(&objects::key(namespace, name)).is_ok();
                self.pods.delete(namespace, name, known).unwrap_or_else(|| not_found(kind, name))
            }
            ("create" | "update" | "patch" | "delete", _)
                if self.config.controller.is_some()
                    && target.sub.is_empty()
                    && ["configmaps", "leases", "pods", "nodes"].contains(&kind.plural.as_str()) =>
            {
                self.write(asked, index, target)
            }
            ("get", Some(node)) if target.resource() == "nodes/proxy" => self.configz(node, &target.sub),
            ("get", Some(pod)) if ["pods/exec", "pods/portforward"].contains(&target.resource().as_str()) => {
                self.stream(asked, user, target, pod)
            }
            ("get", Some(name)) if target.sub.is_empty() => {
                if let Some(pod) = self.pods.get(namespace, name).filter(|_| kind.plural == "pods") {
                    return reply::json(StatusCode::OK, &pod);
                }
                let Some(format) = Self::format(asked, kind, trouble) else {
                    return list::not_acceptable(kind.builtin);
                };
                match objects.find(&objects::key(namespace, name)) {
                    Ok(index) => list::one(kind, objects.as_ref(), index, format),
                    Err(_) => not_found(kind, name),
                }
            }
            ("list", _) => {
                let Some(format) = Self::format(asked, kind, trouble) else {
                    return list::not_acceptable(kind.builtin);
                };
                match query(asked, kind, target, self.config.gzip, trouble) {
                    Ok(query) => list::list(kind.clone(), objects.clone(), query, format, VERSION).await,
                    Err(message) => reply::failure(400, "BadRequest", &message, None),
                }
            }
            _ => reply::failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
                Some(json!({})),
            ),
        }
    }

    fn format(asked: &Asked, kind: &Kind, trouble: Option<Trouble>) -> Option<Format> {
        let protobuf = kind.builtin && protobuf::knows(&kind.kind) && trouble != Some(Trouble::NoProtobuf);
        list::negotiate(asked.header(header::ACCEPT), protobuf)
    }

    fn create_service(&self, asked: &Asked, namespace: &str) -> Reply {
        let service: Value = match serde_json::from_slice(&asked.body) {
            Ok(service) => service,
            Err(error) => return reply::failure(400, "BadRequest", &error.to_string(), None),
        };
        let allocator = self.config.allocator.unwrap_or(Allocator::of(self.config.minor));
        let dry_run = asked.parameter("dryRun").is_some_and(|value| value == "All");
        services::create(allocator, &self.config.ranges, dry_run, service, namespace, |several| self.roll(several))
    }

    /// One of that many, by chance.
    fn roll(&self, several: usize) -> usize {
        let mut dice = self.dice.lock().expect("no panic while rolling");
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        usize::try_from(*dice >> 33).unwrap_or_default() % several.max(1)
    }

    /// `exec` and `portforward`, which want the right to create, whatever the method.
    fn stream(&self, asked: &Asked, user: &User, target: &Target, pod: &str) -> Reply {
        let namespace = target.namespace.as_deref().unwrap_or_default();
        if !user.may("create", &target.resource(), namespace) {
            return forbidden_to(asked, user, "create");
        }
        let Some(object) = self.pod(namespace, pod) else {
            return reply::failure(404, "NotFound", &format!("pods {pod:?} not found"), None);
        };
        let node = object["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
        let parts = (streams::switch(&asked.headers), asked.upgrade.lock().expect("nobody panics").take());
        let (Some(reply), Some(upgrade)) = parts else {
            return reply::failure(400, "BadRequest", "you must specify at least 1 of stdin, stdout, stderr", None);
        };
        let (Some(runs), Some(answers)) = (&self.config.runs, &self.config.answers) else {
            let message = format!("error dialing backend: dial tcp: lookup {node}: no such host");
            return reply::failure(500, "InternalError", &message, None);
        };
        if target.sub.first().is_some_and(|sub| sub == "portforward") {
            let (answers, port) = (answers.clone(), asked.parameter("ports").and_then(|port| port.parse().ok()));
            tokio::spawn(streams::forward(upgrade, port.unwrap_or(0), move |path| answers(&node, path)));
            return reply;
        }
        let argv = pairs(&asked.query).into_iter().filter(|(name, _)| name == "command").map(|(_, word)| word);
        let exec = streams::Exec {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: asked.parameter("container").unwrap_or_default(),
            node,
            argv: argv.collect(),
        };
        tokio::spawn(streams::exec(upgrade, runs(&exec)));
        reply
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<Value> {
        if let Some(made) = self.pods.get(namespace, name) {
            return Some(made);
        }
        self.object("pods", &objects::key(namespace, name))
    }

    fn configz(&self, node: &str, sub: &[String]) -> Reply {
        match self.config.configz.get(node) {
            Some(value) if sub.get(1).is_some_and(|path| path == "configz") => reply::json(StatusCode::OK, value),
            _ => {
                let message = format!("error trying to reach service: dial tcp: lookup {node}: no such host");
                reply::failure(503, "ServiceUnavailable", &message, None)
            }
        }
    }

    fn version(&self) -> Reply {
        let minor = self.config.minor;
        reply::json(
            StatusCode::OK,
            &json!({"major": "1", "minor": minor.to_string(), "gitVersion": format!("v1.{minor}.3"),
                "gitCommit": "0123456789abcdef0123456789abcdef01234567", "gitTreeState": "clean",
                "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.26.8", "compiler": "gc",
                "platform": "linux/amd64"}),
        )
    }

    /// Beta and on by default since 1.36.
    fn flagz(&self, accept: &str) -> Reply {
        let names = [
            ("advertise-address", "192.0.2.1"),
            ("allow-privileged", "true"),
            ("authorization-mode", "[Node,RBAC]"),
            ("secure-port", "6443"),
            ("service-node-port-range", "30000-32767"),
        ];
        let flags = match &self.config.flags {
            Some(flags) => flags.clone(),
            None if self.config.minor < 36 => return reply::page_not_found(),
            None => names
                .iter()
                .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                .chain([("service-cluster-ip-range".to_owned(), self.config.ranges.join(","))])
                .collect(),
        };
        let media: Vec<&str> = accept.split(',').map(str::trim).filter(|media| !media.is_empty()).collect();
        if media.is_empty() || media.iter().any(|media| media.starts_with("text/plain") || media.starts_with("*/*")) {
            let mut text = "\napiserver flagz\nWarning: This endpoint is not meant to be machine parseable, has no \
                formatting compatibility guarantees and is for debugging purposes only.\n"
                .to_owned();
            for (name, value) in flags {
                text.extend([&name, self.config.flag_delimiter, &value, "\n"]);
            }
            return reply::text(StatusCode::OK, text);
        }
        if media.iter().any(|media| media.contains("as=Flagz") && media.contains("g=config.k8s.io")) {
            let structured = json!({"kind": "Flagz", "apiVersion": "config.k8s.io/v1beta1",
                "metadata": {"name": "apiserver"}, "flags": flags});
            return reply::json(StatusCode::OK, &structured);
        }
        let message = "only the following media types are accepted: application/json, application/yaml, text/plain";
        reply::failure(406, "NotAcceptable", message, None)
    }

    fn metrics(&self) -> String {
        if let Some(text) = &self.config.metrics {
            return text.clone();
        }
        let mut text = String::new();
        for (gauge, value) in [("allocated_ips", 27), ("available_ips", 65_505)] {
            let name = format!("kube_apiserver_clusterip_allocator_{gauge}");
            text.extend(
                [
                    &format!("# HELP {name} [ALPHA] Gauge measuring the number of IPs for Services\n"),
                    &format!("# TYPE {name} gauge\n"),
                ]
                .map(String::as_str),
            );
            for range in &self.config.ranges {
                text.push_str(&name);
                text.extend(["{cidr=\"", range, "\"} ", &value.to_string(), "\n"]);
            }
        }
        text
    }
}

fn query(asked: &Asked, kind: &Kind, target: &Target, gzip: bool, trouble: Option<Trouble>) -> Result<Query, String> {
    let parameter = |name: &str| asked.parameter(name).unwrap_or_default();
    let token = parameter("continue");
    Ok(Query {
        namespace: target.namespace.clone(),
        selector: Selector::parse(&kind.kind, &parameter("labelSelector"), &parameter("fieldSelector"))?,
        limit: parameter("limit").parse().unwrap_or_default(),
        token: if token.is_empty() { None } else { Some(Token::decode(&token)?) },
        include_object: parameter("includeObject"),
        garbage: trouble == Some(Trouble::GarbageProtobuf),
        gzip: gzip && asked.header(header::ACCEPT_ENCODING).contains("gzip"),
    })
}

fn not_found(kind: &Kind, name: &str) -> Reply {
    let full = kind.full_name();
    let mut details = json!({"name": name, "kind": kind.plural});
    if !kind.group.is_empty() {
        details["group"] = json!(kind.group);
    }
    reply::failure(404, "NotFound", &format!("{full} {name:?} not found"), Some(details))
}

fn forbidden(asked: &Asked, user: &User) -> Reply {
    let verb = match asked.method {
        Method::GET => "get",
        Method::PATCH => "patch",
        Method::PUT => "update",
        Method::DELETE => "delete",
        _ => "create",
    };
    forbidden_to(asked, user, verb)
}

fn forbidden_to(asked: &Asked, user: &User, verb: &str) -> Reply {
    let Some(target) = Target::parse(&asked.path) else {
        let message = format!("forbidden: User {:?} cannot {verb} path {:?}", user.name, asked.path);
        return reply::failure(403, "Forbidden", &message, Some(json!({})));
    };
    let verb = if verb == "get" && target.name.is_none() { "list" } else { verb };
    let place = match &target.namespace {
        Some(namespace) => format!("in the namespace {namespace:?}"),
        None => "at the cluster scope".to_owned(),
    };
    let full =
        if target.group.is_empty() { target.plural.clone() } else { format!("{}.{}", target.plural, target.group) };
    let named = target.name.as_ref().map(|name| format!("{name:?} ")).unwrap_or_default();
    let resource = match target.sub.first() {
        Some(sub) => format!("{}/{sub}", target.plural),
        None => target.plural.clone(),
    };
    let message = format!(
        "{full} {named}is forbidden: User {:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
        user.name, target.group
    );
    let mut details = json!({"kind": target.plural});
    if !target.group.is_empty() {
        details["group"] = json!(target.group);
    }
    if let Some(name) = &target.name {
        details["name"] = json!(name);
    }
    reply::failure(403, "Forbidden", &message, Some(details))
}

/// The names of the serving certificate.
pub(crate) fn certificate_names(config: &Config) -> Vec<String> {
    let mut names: Vec<String> =
        ["127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
            .map(str::to_owned)
            .into();
    names.extend(services::first_addresses(&config.ranges));
    names.extend(config.names.iter().cloned());
    names
}

/// How long a connection may take to be set up.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(30);
