//! kubectl's rules, each with the kubeconfig that shows it; all made.

use std::fs;

use super::*;

const FIRST: &str = "
apiVersion: v1
kind: Config
current-context: one
contexts:
- {name: one, context: {cluster: a, user: u, namespace: team}}
- {name: two, context: {cluster: b, user: v}}
clusters:
- {name: a, cluster: {server: 'https://a.example:6443', tls-server-name: inner, insecure-skip-tls-verify: true}}
- {name: b, cluster: {server: 'https://b.example', proxy-url: 'socks5h://p.example:1080'}}
users:
- {name: u, user: {token: old, as: boss}}
- {name: v, user: {username: n, password: p}}
";

const SECOND: &str = "
apiVersion: v1
kind: Config
current-context: two
contexts:
- {name: one, context: {cluster: z, user: z}}
- {name: three, context: {cluster: c, user: gone}}
clusters:
- {name: c, cluster: {server: 'c.example:8080', certificate-authority: ca.crt}}
";

/// Settings with a home that holds `FIRST`, these flags, and `KUBECONFIG` where it is given.
fn with(args: &KubeArgs, list: Option<&[&str]>) -> Result<Settings, ConnectError> {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join(".kube")).unwrap();
    fs::write(home.path().join(".kube/config"), FIRST).unwrap();
    fs::write(home.path().join("first"), FIRST).unwrap();
    fs::write(home.path().join("second"), SECOND).unwrap();
    fs::write(home.path().join("broken"), "clusters: [").unwrap();
    fs::write(home.path().join("ca.crt"), "no certificate").unwrap();
    let list = list.map(|names| {
        std::env::join_paths(names.iter().map(|name| home.path().join(name))).unwrap().into_string().unwrap()
    });
    let variable = |name: &str| match name {
        "KUBECONFIG" => list.clone(),
        "HTTPS_PROXY" => Some("http://env.example:3128".to_owned()),
        "NO_PROXY" => Some("a.example".to_owned()),
        _ => None,
    };
    settings(args, &Environment { variable: &variable, home: Some(home.path().to_owned()) })
}

fn args(change: impl FnOnce(&mut KubeArgs)) -> KubeArgs {
    let mut args = KubeArgs::default();
    change(&mut args);
    args
}

fn said(args: &KubeArgs, list: Option<&[&str]>) -> String {
    with(args, list).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_current_context_is_the_default() {
    let Settings { config, context } = with(&KubeArgs::default(), None).unwrap();
    assert_eq!(context.as_deref(), Some("one"));
    assert_eq!(config.cluster_url, "https://a.example:6443/");
    assert_eq!(config.default_namespace, "team");
    assert_eq!(config.tls_server_name.as_deref(), Some("inner"));
    assert!(config.accept_invalid_certs);
    assert_eq!(config.auth_info.impersonate.as_deref(), Some("boss"));
    assert_eq!(config.proxy_url, None, "NO_PROXY names the server");
}

#[test]
fn flags_are_put_over_the_selected_context_alone() {
    let flags = args(|args| {
        args.context = Some("two".to_owned());
        args.token = Some("new".to_owned());
        args.namespace = Some("other".to_owned());
        args.as_user = Some("someone".to_owned());
        args.as_group = vec!["g".to_owned(), "h".to_owned()];
        args.as_uid = Some("7".to_owned());
    });
    let Settings { config, .. } = with(&flags, None).unwrap();
    assert_eq!(config.cluster_url, "https://b.example/");
    assert_eq!(config.default_namespace, "other");
    assert_eq!(config.auth_info.username, None, "a token takes the place of a password");
    assert!(config.auth_info.token.is_some());
    assert_eq!(config.auth_info.impersonate_groups.as_deref(), Some(["g".to_owned(), "h".to_owned()].as_slice()));
    assert_eq!(config.proxy_url.unwrap(), "socks5://p.example:1080", "the cluster's own proxy beats the environment's");
}

#[test]
fn another_server_keeps_no_name_of_the_old_one() {
    let flags = args(|args| args.server = Some("https://new.example".to_owned()));
    let Settings { config, .. } = with(&flags, None).unwrap();
    assert_eq!(config.cluster_url, "https://new.example/");
    assert_eq!(config.tls_server_name, None);
    assert_eq!(config.proxy_url.unwrap(), "http://env.example:3128");
}

#[test]
fn the_first_of_several_files_wins_and_missing_ones_are_passed_over() {
    let Settings { config, context } = with(&KubeArgs::default(), Some(&["nowhere", "first", "second"])).unwrap();
    assert_eq!((context.as_deref(), config.cluster_url.host()), (Some("one"), Some("a.example")));
    let flags = args(|args| args.cluster = Some("c".to_owned()));
    let error = said(&flags, Some(&["first", "second"]));
    assert!(error.contains("ca.crt: holds no certificate"), "a relative path starts at its file: {error}");
}

#[test]
fn a_server_alone_is_enough() {
    let flags = args(|args| {
        args.server = Some("host:8080".to_owned());
        args.token = Some("t".to_owned());
    });
    let Settings { config, context } = with(&flags, Some(&["nowhere"])).unwrap();
    assert_eq!(config.cluster_url, "http://host:8080/");
    assert_eq!((context, config.default_namespace.as_str()), (None, "default"));
}

#[test]
fn what_is_not_there_is_named_with_what_is() {
    let unknown = |change: fn(&mut KubeArgs)| said(&args(change), None);
    assert_eq!(
        unknown(|args| args.context = Some("x".to_owned())),
        "the kubeconfig has no context \"x\"; it has one, two"
    );
    assert_eq!(unknown(|args| args.cluster = Some("x".to_owned())), "the kubeconfig has no cluster \"x\"; it has a, b");
    assert_eq!(unknown(|args| args.user = Some("x".to_owned())), "the kubeconfig has no user \"x\"; it has u, v");
    assert!(unknown(|args| args.kubeconfig = Some("/no/such/file".into())).starts_with("kubeconfig /no/such/file: "));
    assert!(unknown(|args| args.server = Some("ftp://x".to_owned())).contains("valid are https://host:port"));
    assert!(
        unknown(|args| args.certificate_authority = Some("/no/ca".into()))
            .starts_with("certificate authority /no/ca: ")
    );
    let error = said(&args(|args| args.context = Some("x".to_owned())), Some(&["nowhere"]));
    assert!(error.starts_with("no cluster to talk to: no kubeconfig at $KUBECONFIG ("), "{error}");
    assert!(said(&KubeArgs::default(), Some(&["broken"])).contains("broken: "));
}

#[test]
fn groups_need_a_user_to_impersonate() {
    let flags = args(|args| {
        args.context = Some("two".to_owned());
        args.as_group = vec!["g".to_owned()];
    });
    assert_eq!(said(&flags, None), "--as-group and --as-uid need --as: nobody is impersonated");
}

#[test]
fn an_error_shows_no_password() {
    let proxied = |proxy: &str| {
        let cluster =
            Cluster { server: Some("https://h".to_owned()), proxy_url: Some(proxy.to_owned()), ..Cluster::default() };
        let variable = |_: &str| None;
        connection(&cluster, &Environment { variable: &variable, home: None }).map(|_| ()).unwrap_err().to_string()
    };
    let error = proxied("http://me:PLANTED@ no proxy");
    assert!(!error.contains("PLANTED") && error.contains("is no address"), "{error}");
    let error = said(&args(|args| args.server = Some("https://me:PLANTED@ h".to_owned())), None);
    assert!(!error.contains("PLANTED") && error.contains("is no address"), "{error}");
}
