//! The client against made servers, and, where one is at hand, against a real API server.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use kube::client::Body;
use netcore::cluster::{
    Item, ReadStatus, Resource, resources,
    wire::{IpAddress, Lean, Node, Pod, Service},
};
use serde_json::Value;

use super::{
    Cluster, ReadError, Selection,
    list::{List, Seen, Url},
    request::{JSON, PROTOBUF, Transport},
};

/// What a made server answers: status, headers, and the body's chunks, an error as the last or not.
#[derive(Clone, Default)]
struct Made {
    code: u16,
    headers: Vec<(&'static str, &'static str)>,
    chunks: Vec<String>,
    breaks: bool,
}

fn ok(body: &str) -> Made {
    Made { code: 200, chunks: vec![body.to_owned()], ..Made::default() }
}

fn status(code: u16, message: &str) -> Made {
    Made { code, chunks: vec![format!(r#"{{"kind":"Status","message":"{message}"}}"#)], ..Made::default() }
}

/// A cluster whose server gives these answers in turn, and what it was asked.
fn made(answers: Vec<Made>) -> (Cluster, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
    let log = asked.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        log.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        let answer = answers.lock().unwrap().pop_front();
        async move {
            let Some(answer) = answer else { return std::future::pending().await };
            let mut response = Response::builder().status(answer.code);
            for (name, value) in answer.headers {
                response = response.header(name, value);
            }
            let mut frames: VecDeque<_> = answer.chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))).collect();
            if answer.breaks {
                frames.push_back(Err(std::io::ErrorKind::UnexpectedEof.into()));
            }
            Ok::<_, Infallible>(response.body(Frames(frames)).unwrap())
        }
    });
    let client = kube::Client::new(service, "default");
    let transport = Transport { client, whole: None, idle: Duration::from_millis(200), patient: true, trace: None };
    (Cluster::over(transport, "default".to_owned()), asked)
}

/// A body of chunks and perhaps an error.
struct Frames(VecDeque<Result<Bytes, std::io::Error>>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| chunk.map(Frame::data)))
    }
}

async fn names(cluster: &Cluster, resource: &'static Resource) -> (ReadStatus, Vec<String>) {
    let mut names = Vec::new();
    let mut each = |item: Item<'_>| {
        names.push(item.value().unwrap()["metadata"]["name"].as_str().unwrap().to_owned());
    };
    let status = cluster.list(resource, Selection::default(), &mut each).await;
    (status, names)
}

fn page(next: &str, names: &[&str]) -> String {
    let items: Vec<_> = names.iter().map(|name| format!(r#"{{"metadata":{{"name":"{name}"}}}}"#)).collect();
    format!(r#"{{"kind":"List","metadata":{{"continue":"{next}"}},"items":[{}]}}"#, items.join(","))
}

#[tokio::test]
async fn pages_follow_each_other() {
    let (cluster, asked) = made(vec![ok(&page("to+ken=", &["a", "b"])), ok(&page("", &["c"]))]);
    assert_eq!(
        names(&cluster, &resources::PODS).await,
        (ReadStatus::Complete, vec!["a".into(), "b".into(), "c".into()])
    );
    assert_eq!(
        *asked.lock().unwrap(),
        ["GET /api/v1/pods?limit=5000", "GET /api/v1/pods?limit=5000&continue=to%2Bken%3D"]
    );
}

#[tokio::test]
async fn selectors_and_names_are_encoded() {
    let (cluster, asked) = made(vec![ok(&page("", &[])), status(404, "no"), ok("{}")]);
    let selection =
        Selection { namespace: Some("kube-system"), labels: Some("k8s-app in (a,b)"), fields: Some("reason=X") };
    assert_eq!(cluster.list(&resources::PODS, selection, &mut |_| {}).await, ReadStatus::Complete);
    assert_eq!(cluster.get(&resources::CONFIGMAPS, "..", "a/../b?x").await.unwrap(), None);
    assert_eq!(cluster.get(&resources::NODES, "", "n").await.unwrap(), Some(b"{}".to_vec()));
    assert_eq!(
        *asked.lock().unwrap(),
        [
            "GET /api/v1/namespaces/kube-system/pods?limit=5000&labelSelector=k8s-app%20in%20%28a%2Cb%29&fieldSelector=reason%3DX",
            "GET /api/v1/namespaces/%2E%2E/configmaps/a%2F..%2Fb%3Fx",
            "GET /api/v1/nodes/n",
        ]
    );
}

#[tokio::test]
async fn a_list_that_expires_goes_on_where_the_server_says() {
    let gone = Made {
        code: 410,
        chunks: vec![
            r#"{"kind":"Status","metadata":{"continue":"other"},"message":"too old","reason":"Expired"}"#.into(),
        ],
        ..Made::default()
    };
    let (cluster, asked) = made(vec![ok(&page("one", &["a", "b"])), gone, ok(&page("", &["c"]))]);
    assert_eq!(
        names(&cluster, &resources::NODES).await,
        (ReadStatus::Complete, vec!["a".into(), "b".into(), "c".into()])
    );
    assert_eq!(asked.lock().unwrap().last().unwrap(), "GET /api/v1/nodes?limit=5000&continue=other");
}

#[tokio::test]
async fn a_list_that_expires_without_a_way_on_starts_again_and_gives_nothing_twice() {
    let answers = vec![
        ok(&page("one", &["a", "b", "d"])),
        status(410, "too old"),
        ok(&page("two", &["a", "c", "d"])),
        ok(&page("", &["e"])),
    ];
    let (cluster, _) = made(answers);
    let expected = ["a", "b", "d", "e"].map(str::to_owned).to_vec();
    assert_eq!(names(&cluster, &resources::NODES).await, (ReadStatus::Complete, expected));

    let twice =
        vec![ok(&page("one", &["a"])), status(410, "too old"), ok(&page("two", &["a"])), status(410, "too old")];
    let (cluster, _) = made(twice);
    let (status, _) = names(&cluster, &resources::NODES).await;
    assert_eq!(
        status,
        ReadStatus::Partial("the list changed too much while it was being read: too old after 1 object".to_owned())
    );
}

#[tokio::test]
async fn every_failure_says_what_it_was() {
    let denied = r#"pods is forbidden: User \"x\" cannot list resource \"pods\""#;
    for (answer, expected) in [
        (status(403, denied), "forbidden: pods is forbidden: User \"x\" cannot list resource \"pods\""),
        (status(401, "Unauthorized"), "unauthorized: Unauthorized"),
        (status(500, "boom"), "the server answered 500: boom"),
        (status(404, "not recorded"), "not recorded"),
        (ok("<html>"), "the answer is not a JSON list: it starts with \"<html>\""),
        (ok(r#"{"items":["#), "the answer ends in the middle"),
        (Made { breaks: true, ..ok(r#"{"items":["#) }, "connection closed"),
    ] {
        let (cluster, _) = made(vec![answer]);
        assert_eq!(names(&cluster, &resources::PODS).await.0, ReadStatus::Unreadable(expected.to_owned()));
    }
    let (cluster, _) = made(vec![]);
    assert_eq!(names(&cluster, &resources::PODS).await.0, ReadStatus::Unreadable("timed out after 200ms".to_owned()));
    let (cluster, _) = made(vec![status(404, "the server could not find the requested resource")]);
    assert_eq!(names(&cluster, &resources::PODS).await.0, ReadStatus::Absent);
}

#[tokio::test]
async fn what_came_before_a_failure_counts() {
    let mut first = ok(&page("", &["a", "b"]));
    let cut = first.chunks[0].len() - 5;
    first.chunks[0].truncate(cut);
    first.breaks = true;
    let (cluster, _) = made(vec![first]);
    let (status, names) = names(&cluster, &resources::PODS).await;
    assert_eq!(status, ReadStatus::Partial("connection closed after 1 object".to_owned()));
    assert_eq!(names, ["a"]);
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let busy = Made { headers: vec![("retry-after", "0")], ..status(429, "busy") };
    let (cluster, asked) = made(vec![busy.clone(), busy.clone(), ok(&page("", &["a"]))]);
    assert_eq!(names(&cluster, &resources::PODS).await.0, ReadStatus::Complete);
    assert_eq!(asked.lock().unwrap().len(), 3);

    let (cluster, asked) = made(vec![busy; 9]);
    assert_eq!(
        names(&cluster, &resources::PODS).await.0,
        ReadStatus::Unreadable("the server answered 429: busy".to_owned())
    );
    assert_eq!(asked.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn a_server_without_protobuf_is_asked_for_json() {
    let (cluster, asked) = made(vec![status(406, "not acceptable"), ok(&page("", &["a"]))]);
    assert_eq!(names(&cluster, &resources::PODS).await, (ReadStatus::Complete, vec!["a".into()]));
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn kinds_that_nobody_installed_cost_no_request() {
    let apis = r#"{"groups":[{"name":"networking.k8s.io","versions":[{"version":"v1beta1"}]}]}"#;
    let (cluster, asked) = made(vec![ok(apis), ok(&page("", &["x"]))]);
    let all = Selection::default();
    assert_eq!(cluster.list(&resources::CILIUM_NODES, all, &mut |_| {}).await, ReadStatus::Absent);
    assert_eq!(cluster.get(&resources::CALICO_IPPOOLS_V1, "", "x").await.unwrap(), None);
    assert_eq!(cluster.list(&resources::SERVICECIDRS, all, &mut |_| {}).await, ReadStatus::Complete);
    assert_eq!(*asked.lock().unwrap(), ["GET /apis", "GET /apis/networking.k8s.io/v1beta1/servicecidrs?limit=5000"]);
}

#[tokio::test]
async fn nothing_is_created_but_as_a_dry_run() {
    let (cluster, asked) = made(vec![status(422, "invalid")]);
    let object = serde_json::json!({"kind": "Service"});
    let error = cluster.create_dry_run("/api/v1/namespaces/default/services", &object).await.unwrap_err();
    assert_eq!(error, ReadError::Status { code: 422, message: "invalid".to_owned() });
    assert!(cluster.create_dry_run("/x?dryRun=", &object).await.is_err());
    assert!(cluster.create_dry_run("/x#", &object).await.is_err());
    assert_eq!(*asked.lock().unwrap(), ["POST /api/v1/namespaces/default/services?dryRun=All"]);
}

/// What a run sees of a cluster, in words.
async fn seen(cluster: &Cluster) -> Vec<String> {
    let mut seen = Vec::new();
    for resource in [&resources::PODS, &resources::NODES, &resources::SERVICES, &resources::NAMESPACES] {
        let mut items = Vec::new();
        let mut each = |item: Item<'_>| items.push(item.value().unwrap()["metadata"]["name"].to_string());
        let status = cluster.list(resource, Selection::default(), &mut each).await;
        seen.push(format!("{} {status:?} {items:?}", resource.plural));
    }
    let labelled = Selection { namespace: Some("a"), labels: Some("x=y"), ..Selection::default() };
    let mut found = 0;
    let status = cluster.list(&resources::DAEMONSETS, labelled, &mut |_| found += 1).await;
    seen.push(format!("{status:?} {found}"));
    for resource in [&resources::CILIUM_NODES, &resources::EVENTS, &resources::SERVICECIDRS] {
        seen.push(format!("{:?}", cluster.list(resource, Selection::default(), &mut |_| {}).await));
    }
    for name in ["there", "gone", "denied"] {
        let object = cluster.get(&resources::CONFIGMAPS, "kube-system", name).await;
        let data = object.map(|json| json.map(|json| serde_json::from_slice::<Value>(&json).unwrap()["data"].take()));
        seen.push(format!("{:?}", data.map_err(|error| error.to_string())));
    }
    for path in ["/flagz", "/metrics"] {
        seen.push(format!("{:?}", cluster.raw(path, "text/plain").await.map_err(|error| error.to_string())));
    }
    seen
}

#[tokio::test]
async fn a_run_and_its_recording_see_the_same() {
    let apis = r#"{"groups":[{"name":"apps","versions":[{"version":"v1"}]},
        {"name":"networking.k8s.io","versions":[{"version":"v1"},{"version":"v1beta1"}]}]}"#;
    let broken = Made { breaks: true, ..ok(r#"{"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}},{"#) };
    let (cluster, asked) = made(vec![
        ok(&page("more", &["p1", "p2"])),
        ok(&page("", &["p3"])),
        broken,
        status(403, "services is forbidden"),
        ok(&page("", &[])),
        ok(apis),
        ok(r#"{"metadata":{},"items":[{"metadata":{"name":"d","namespace":"a","labels":{"x":"y"}}}]}"#),
        Made { breaks: true, ..ok("{") },
        status(404, "no such version"),
        ok(&page("", &["kubernetes"])),
        ok(
            r#"{"metadata":{"name":"there","namespace":"kube-system"},"data":{"ClusterConfiguration":"podSubnet: 10.0.0.0/8"}}"#,
        ),
        status(404, "gone not found"),
        status(403, "denied"),
        ok("v: 2\nservice-cluster-ip-range: 10.96.0.0/12\n"),
        status(404, "no such path"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let input = crate::args::InputArgs { record: Some(folder.path().join("r")), ..Default::default() };
    let cluster = cluster.recorded(&input).unwrap();
    let live = seen(&cluster).await;
    assert_eq!(asked.lock().unwrap().len(), 15, "{asked:?}");
    assert_eq!(live[1], r#"nodes Partial("connection closed after 2 objects") ["\"a\"", "\"b\""]"#);
    cluster.finish().unwrap();

    // The recording again, recorded: nothing may get lost on the way.
    let second =
        crate::args::InputArgs { from: input.record, record: Some(folder.path().join("s")), ..Default::default() };
    let replay = Cluster::connect(&crate::args::KubeArgs::default(), &second).await.unwrap();
    assert!(replay.is_offline());
    assert_eq!(seen(&replay).await, live);
    replay.finish().unwrap();
    let third = crate::args::InputArgs { from: second.record, ..Default::default() };
    let replay = Cluster::connect(&crate::args::KubeArgs::default(), &third).await.unwrap();
    assert_eq!(seen(&replay).await, live);
}

/// Reads a kind in both encodings from the server of `$NET_TEST_KUBECONFIG`.
async fn both<T: Lean + PartialEq + std::fmt::Debug>(
    cluster: &Cluster,
    resource: &'static Resource,
    plain: impl Fn(&mut T),
) -> usize {
    let mut read = Vec::new();
    for accept in [PROTOBUF, JSON] {
        let version = cluster.versions(resource).await[0];
        let url = Url::new(resource, version, Selection::default());
        let mut list = List { transport: &cluster.transport, url, accept, seen: Seen::default() };
        let mut items: Vec<T> = Vec::new();
        list.read(&mut |item| {
            assert_eq!(item.encoding == netcore::cluster::Encoding::Protobuf, accept == PROTOBUF);
            let mut item: T = item.lean().unwrap();
            plain(&mut item);
            items.push(item);
        })
        .await
        .unwrap();
        read.push(items);
    }
    let json = read.pop().unwrap();
    let protobuf = read.pop().unwrap();
    assert_eq!(protobuf.len(), json.len());
    for (protobuf, json) in protobuf.iter().zip(&json) {
        assert_eq!(protobuf, json);
    }
    json.len()
}

#[tokio::test]
#[ignore = "needs an API server that nothing changes: NET_TEST_KUBECONFIG names its kubeconfig"]
async fn protobuf_and_json_say_the_same() {
    let kubeconfig = std::env::var_os("NET_TEST_KUBECONFIG").expect("NET_TEST_KUBECONFIG is set").into();
    let kube = crate::args::KubeArgs { kubeconfig: Some(kubeconfig), ..Default::default() };
    let cluster = Cluster::connect(&kube, &crate::args::InputArgs::default()).await.unwrap();
    // In JSON only the presence of a time is read.
    let meta = |meta: &mut Option<netcore::cluster::wire::ObjectMeta>| {
        if let Some(time) = meta.as_mut().and_then(|meta| meta.deletion_timestamp.as_mut()) {
            time.seconds = 0;
        }
    };
    let read = [
        both::<Node>(&cluster, &resources::NODES, |item| meta(&mut item.metadata)).await,
        both::<Pod>(&cluster, &resources::PODS, |item| meta(&mut item.metadata)).await,
        both::<Service>(&cluster, &resources::SERVICES, |item| meta(&mut item.metadata)).await,
        both::<IpAddress>(&cluster, &resources::IPADDRESSES, |item| meta(&mut item.metadata)).await,
    ];
    assert!(read.iter().all(|count| *count > 0), "{read:?}");
}

#[tokio::test]
#[ignore = "needs an API server: NET_TEST_KUBECONFIG names its kubeconfig"]
async fn a_real_server_shows_its_certificate_and_refuses_strangers() {
    let kubeconfig = std::env::var_os("NET_TEST_KUBECONFIG").expect("NET_TEST_KUBECONFIG is set").into();
    let mut kube = crate::args::KubeArgs { kubeconfig: Some(kubeconfig), ..Default::default() };
    let input = crate::args::InputArgs::default();
    let cluster = Cluster::connect(&kube, &input).await.unwrap();
    assert!(cluster.version().unwrap().starts_with("v1."));
    let pem = cluster.serving_certificate().await.unwrap().unwrap();
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----\n"), "{pem}");
    assert!(cluster.raw("/metrics", "text/plain").await.unwrap().unwrap().contains("apiserver_request_total"));
    assert_eq!(cluster.raw("/no/such/path", "text/plain").await, Ok(None));
    assert_eq!(cluster.list(&resources::CILIUM_NODES, Selection::default(), &mut |_| {}).await, ReadStatus::Absent);

    kube.as_user = Some("stranger".to_owned());
    kube.as_group = vec!["a".to_owned(), "b".to_owned()];
    let cluster = Cluster::connect(&kube, &input).await.unwrap();
    let status = cluster.list(&resources::PODS, Selection::default(), &mut |_| {}).await;
    let ReadStatus::Unreadable(reason) = status else { panic!("{status:?}") };
    assert!(reason.starts_with("forbidden: pods is forbidden: User \"stranger\" cannot list"), "{reason}");
}
