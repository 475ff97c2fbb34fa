use proptest::prelude::*;

use super::*;
use crate::kubeproxy;

fn to(mode: Mode) -> Wanted<'static> {
    Wanted { mode, scheduler: None }
}

const LC: Wanted<'static> = Wanted { mode: Mode::Ipvs, scheduler: Some("lc") };

const HEAD: &str = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

fn edited(text: &str, wanted: &Wanted<'_>) -> String {
    let edit = edit(text, wanted).unwrap_or_else(|refused| panic!("{refused}: {text:?}"));
    let result = edit.apply(text).unwrap();
    assert_eq!(edit.inverse().apply(&result).unwrap(), text, "the way back");
    result
}

#[test]
fn only_the_value_changes_however_it_is_written() {
    for (before, after) in [
        ("mode: iptables\n", "mode: nftables\n"),
        ("mode: \"iptables\"\n", "mode: \"nftables\"\n"),
        ("mode: \"\"\n", "mode: \"nftables\"\n"),
        ("mode: ''   # the default\n", "mode: 'nftables'   # the default\n"),
        ("mode:   ipvs\t# was iptables\n", "mode:   nftables\t# was iptables\n"),
        ("mode:\n", "mode: nftables\n"),
        ("mode: # none yet\n", "mode: nftables # none yet\n"),
        ("mode: null\n", "mode: nftables\n"),
        ("\"mode\" : ipvs\r\n", "\"mode\" : nftables\r\n"),
        ("mode: ipvs", "mode: nftables"),
        ("mode: ipvs\n\n# the end\n", "mode: nftables\n\n# the end\n"),
    ] {
        assert_eq!(edited(&format!("{HEAD}{before}"), &to(Mode::Nftables)), format!("{HEAD}{after}"));
    }
}

#[test]
fn a_mode_that_is_there_is_left_alone() {
    let text = format!("{HEAD}mode: 'ipvs' # x\nipvs:\n  scheduler: lc\n");
    assert!(edit(&text, &LC).unwrap().is_empty());
    assert_eq!(edit(&text, &LC).unwrap().diff(), "");
}

#[test]
fn a_missing_mode_is_put_after_the_kind_in_the_text_s_own_line_endings() {
    assert_eq!(edited(HEAD, &to(Mode::Ipvs)), format!("{HEAD}mode: ipvs\n"));
    let windows = "kind: KubeProxyConfiguration\r\nipvs: {}\r\n";
    assert_eq!(edited(windows, &to(Mode::Ipvs)), "kind: KubeProxyConfiguration\r\nmode: ipvs\r\nipvs: {}\r\n");
    let open = "ipvs: {}\nkind: KubeProxyConfiguration";
    assert_eq!(edited(open, &to(Mode::Ipvs)), "ipvs: {}\nkind: KubeProxyConfiguration\nmode: ipvs");
    let indented = "  kind: KubeProxyConfiguration\n  ipvs: null\n";
    assert_eq!(edited(indented, &to(Mode::Ipvs)), "  kind: KubeProxyConfiguration\n  mode: ipvs\n  ipvs: null\n");
}

#[test]
fn the_scheduler_is_put_where_it_belongs() {
    for (before, after) in [
        ("ipvs:\n  excludeCIDRs: null\n  scheduler: \"\"\n", "ipvs:\n  excludeCIDRs: null\n  scheduler: \"lc\"\n"),
        ("ipvs:\n    strictARP: true\n", "ipvs:\n    scheduler: lc\n    strictARP: true\n"),
        ("ipvs: null # default\n", "ipvs: # default\n  scheduler: lc\n"),
        ("ipvs:\n\n# next\n", "ipvs:\n  scheduler: lc\n\n# next\n"),
        ("ipvs: {}\nx:\n  scheduler: rr\n", "ipvs:\n  scheduler: lc\nx:\n  scheduler: rr\n"),
    ] {
        let text = format!("{HEAD}mode: iptables\n{before}");
        assert_eq!(edited(&text, &LC), format!("{HEAD}mode: ipvs\n{after}"));
    }
    assert_eq!(edited(HEAD, &LC), format!("{HEAD}mode: ipvs\nipvs:\n  scheduler: lc\n"));
}

#[test]
fn another_key_called_mode_and_another_document_are_left_alone() {
    let text = "# mode: x\nkind: ClusterConfiguration\nmode: no\n---\nkind: KubeProxyConfiguration\n\
        detectLocal:\n  mode: no\nnote: |\n  mode: no\nmode: ipvs\n---\nkind: KubeletConfiguration\nmode: no\n";
    let after = text.replacen("mode: ipvs", "mode: iptables", 1);
    assert_eq!(edited(text, &to(Mode::Iptables)), after);
}

#[test]
fn what_cannot_be_changed_in_place_is_refused_with_its_line() {
    for (text, words) in [
        (format!("{HEAD}mode: &m ipvs\nother: *m\n"), "line 3"),
        (format!("{HEAD}mode: >-\n  ipvs\n"), "line 3"),
        (format!("{HEAD}mode:\n  ipvs\n"), "line 3"),
        ("{\"kind\": \"KubeProxyConfiguration\", \"mode\": \"ipvs\"}".to_owned(), "line 1"),
        (format!("{HEAD}---\n{HEAD}"), "2 documents"),
        ("kind: Config\n".to_owned(), "no document"),
        (String::new(), "no document"),
        (format!("{HEAD}mode: [ipvs\n"), "line"),
    ] {
        let refused = edit(&text, &to(Mode::Nftables)).unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}: {text:?}");
    }
    let flow = format!("{HEAD}ipvs: {{scheduler: rr}}\n");
    assert!(edit(&flow, &LC).unwrap_err().to_string().contains("line 3"));
    assert!(edit(&flow, &to(Mode::Nftables)).is_ok(), "the section is not touched");
}

#[test]
fn a_scheduler_that_yaml_reads_as_something_else_is_refused() {
    let wanted = Wanted { mode: Mode::Ipvs, scheduler: Some("12") };
    assert_eq!(edit(HEAD, &wanted), Err(Refused::Unsure("mode")));
}

#[test]
fn the_way_back_keeps_what_was_edited_since_or_refuses() {
    let text = format!("{HEAD}mode: iptables\n");
    let edit = edit(&text, &LC).unwrap();
    let after = edit.apply(&text).unwrap();
    let since = after.replace("kind:", "metricsBindAddress: ''\nkind:");
    let back = edit.inverse().apply(&since).unwrap();
    assert_eq!(back, text.replace("kind:", "metricsBindAddress: ''\nkind:"));
    let by_hand = after.replace("mode: ipvs", "mode: nftables");
    assert_eq!(edit.inverse().apply(&by_hand), Err(Refused::Moved("mode: ipvs".to_owned(), 0)));
}

#[test]
fn the_diff_has_only_the_lines_that_change() {
    let text = format!("{HEAD}mode: iptables\nx: 1\nipvs:\n  scheduler: ''");
    assert_eq!(
        edit(&text, &LC).unwrap().diff(),
        "@@ -3,1 +3,1 @@\n-mode: iptables\n+mode: ipvs\n@@ -6,1 +6,1 @@\n-  scheduler: ''\n\
         \\ No newline at end of file\n+  scheduler: 'lc'\n\\ No newline at end of file\n"
    );
    assert_eq!(edit(HEAD, &LC).unwrap().diff(), "@@ -2,0 +3,3 @@\n+mode: ipvs\n+ipvs:\n+  scheduler: lc\n");
}

/// The lines of a configuration in any order, with comments and keys that look like the wanted ones.
fn texts() -> impl Strategy<Value = String> {
    let mode = prop::sample::select(vec![
        "",
        "mode: ipvs",
        "mode: \"\"",
        "mode: 'iptables' # mode: ipvs",
        "mode:",
        "mode: ~",
        "\"mode\": nftables",
        "mode:\n  ipvs",
        "mode: !!str ipvs",
    ]);
    let section = prop::sample::select(vec![
        "",
        "ipvs: null",
        "ipvs:",
        "ipvs: {}",
        "ipvs:\n  strictARP: true",
        "ipvs:\n    # why\n    scheduler: \"rr\"",
        "ipvs:\n  scheduler:\n  minSyncPeriod: 0s",
        "ipvs: {scheduler: sh}",
    ]);
    let other = prop::collection::btree_set(
        prop::sample::select(vec![
            "# mode: ipvs",
            "a: |\n  mode: ipvs\n  ipvs:\n    scheduler: sh",
            "b: \"x\n  mode: ipvs\"",
            "\n",
            "c:\n- mode: ipvs\n- ipvs",
            "modes: ipvs",
            "d: 'mode: ipvs'",
            "winkernel:\n  scheduler: rr",
        ]),
        0..6,
    );
    let order = (mode, section, other).prop_map(|(mode, section, other)| {
        let kind = "kind: KubeProxyConfiguration";
        [mode, section, kind].into_iter().chain(other).filter(|part| !part.is_empty()).collect::<Vec<_>>()
    });
    (order.prop_shuffle(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(parts, windows, end, two)| {
        let mut text = parts.join("\n");
        if end {
            text.push('\n');
        }
        if two {
            text = format!("kind: Other\nmode: no\n---\n{text}");
        }
        if windows { text.replace('\n', "\r\n") } else { text }
    })
}

proptest! {
    #[test]
    fn an_edit_says_what_is_wanted_changes_nothing_else_and_goes_back(
        text in texts(),
        mode in prop::sample::select(Mode::LINUX.to_vec()),
        scheduler in prop::option::of(prop::sample::select(vec!["rr", "lc", "sh"])),
    ) {
        let wanted = Wanted { mode, scheduler };
        if let Ok(edit) = edit(&text, &wanted) {
            let after = edit.apply(&text).unwrap();
            let config = kubeproxy::parse(&after).unwrap().unwrap();
            prop_assert_eq!(config.mode.as_str(), mode.name());
            if let Some(scheduler) = scheduler {
                prop_assert_eq!(config.scheduler.as_str(), scheduler);
            }
            prop_assert_eq!(edit.inverse().apply(&after).unwrap(), text.clone());
            // every line but those of the two fields is still there, in its order
            let kept = |text: &str| text.split_inclusive('\n').map(|line| line.trim_end().to_owned())
                .filter(|line| !["mode", "\"mode\"", "ipvs", "  scheduler", "    scheduler"].iter()
                    .any(|key| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')))).collect::<Vec<_>>();
            prop_assert_eq!(kept(&after), kept(&text));
            prop_assert!(super::edit(&after, &wanted).unwrap().is_empty(), "a second time changes nothing");
        }
    }

    #[test]
    fn any_text_is_edited_or_refused(text in "(kind: KubeProxyConfiguration|mode|ipvs|scheduler|[:#'\"{} \r\n&*|-]){0,40}") {
        if let Ok(edit) = edit(&text, &LC) {
            prop_assert_eq!(edit.inverse().apply(&edit.apply(&text).unwrap()).unwrap(), text);
        }
    }
}
