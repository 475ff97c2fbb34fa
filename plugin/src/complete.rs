//! Completion: scripts for shells, and the answer to kubectl, which asks
//! `kubectl_complete-<plugin> WORD… LAST` for what could stand in place of the last word.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

use clap::{Args, FromArgMatches as _, ValueEnum};
use clap_complete::{
    aot,
    engine::{ArgValueCompleter, CompletionCandidate},
};
use kube::{Api, api::ListParams};

use crate::{
    Plugin,
    args::{InputArgs, KubeArgs},
    cluster::Cluster,
    command,
    print::sanitize,
};

/// How long a person waits at a prompt.
const PATIENCE: Duration = Duration::from_secs(2);

/// What kubectl's own completion calls no-file-completion; the number is Cobra's.
const NO_FILES: &str = ":4";

/// Arguments whose values are asked of the cluster.
const LIVE: &[&str] = &["nodes", "namespace", "context"];

/// `completion SHELL`
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
For completion behind kubectl itself, put a link to this binary, called
kubectl_complete-NAME instead of kubectl-NAME, into a folder on PATH.")]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_enum, value_name = "bash|zsh|fish|powershell", hide_possible_values = true)]
    pub shell: Shell,
}

/// A shell that there is a script for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// fish.
    Fish,
    /// PowerShell.
    #[value(name = "powershell")]
    PowerShell,
}

/// The script that completes the plugin under its own name, `kubectl-<plugin>`.
pub fn script<P: Plugin>(shell: Shell) -> String {
    let shell = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
        Shell::PowerShell => aot::Shell::PowerShell,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut command::<P>(), format!("kubectl-{}", P::NAME), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Whether this process was called by kubectl for completion.
pub fn is_kubectl_asking(argv0: Option<&OsString>) -> bool {
    let name = argv0.map(Path::new).and_then(Path::file_name).map(OsStr::to_string_lossy);
    name.is_some_and(|name| name.starts_with("kubectl_complete-"))
}

/// One candidate per line, its help after a tab, then the directive. `words` is the whole command line
/// with the name of the program first.
pub fn answer<P: Plugin>(mut words: Vec<OsString>) -> String {
    if words.len() < 2 {
        words.push(OsString::new());
    }
    let index = words.len() - 1;
    let mut command = with_live_values::<P>(&words);
    let folder = std::env::current_dir().ok();
    let candidates = clap_complete::engine::complete(&mut command, words, index, folder.as_deref()).unwrap_or_default();
    let mut lines: Vec<String> = candidates.iter().filter(|candidate| !candidate.is_hide_set()).map(line).collect();
    lines.push(format!("{NO_FILES}\n"));
    lines.join("\n")
}

fn line(candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    let value = sanitize::line(&value).into_owned();
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    match help.lines().next() {
        Some(help) => format!("{value}\t{}", sanitize::line(help)),
        None => value,
    }
}

fn with_live_values<P: Plugin>(words: &[OsString]) -> clap::Command {
    let command = command::<P>();
    let ids: Vec<&str> =
        LIVE.iter().copied().filter(|id| command.get_arguments().any(|argument| argument.get_id() == id)).collect();
    ids.into_iter().fold(command, |command, id| {
        let words = words.to_vec();
        let values = move |typed: &OsStr| {
            let typed = typed.to_string_lossy();
            let names = P::candidates(id, &words);
            names.into_iter().filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
        };
        command.mut_arg(id, |argument| argument.add(ArgValueCompleter::new(values)))
    })
}

/// Names of nodes and namespaces from the cluster (or files) that the typed words choose, contexts from
/// the kubeconfig. Nothing where that takes too long or fails: a prompt is no place for errors.
pub fn live<P: Plugin>(argument: &str, words: &[OsString]) -> Vec<String> {
    // What is being typed is not part of the choice, nor is a flag that still lacks its value.
    let typed = words.split_last().map(|(_, before)| before).unwrap_or_default();
    let Ok(matches) = command::<P>().ignore_errors(true).try_get_matches_from(typed) else { return Vec::new() };
    let kube = KubeArgs::from_arg_matches(&matches).unwrap_or_default();
    let input = InputArgs::from_arg_matches(&matches).unwrap_or_default();
    if argument == "context" {
        let kubeconfig =
            kube.kubeconfig.map_or_else(kube::config::Kubeconfig::read, kube::config::Kubeconfig::read_from);
        return kubeconfig
            .map(|file| file.contexts.into_iter().map(|context| context.name).collect())
            .unwrap_or_default();
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let names = runtime.block_on(async { tokio::time::timeout(PATIENCE, names(argument, &kube, &input)).await });
    runtime.shutdown_background();
    names.ok().flatten().unwrap_or_default()
}

async fn names(argument: &str, kube: &KubeArgs, input: &InputArgs) -> Option<Vec<String>> {
    let cluster = Cluster::connect(kube, input).await.ok()?;
    let page = ListParams::default().limit(500);
    let metadata = match argument {
        "nodes" => {
            let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(cluster.client().clone());
            nodes.list_metadata(&page).await.ok()?.items.into_iter().map(|item| item.metadata).collect::<Vec<_>>()
        }
        "namespace" => {
            let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(cluster.client().clone());
            namespaces.list_metadata(&page).await.ok()?.items.into_iter().map(|item| item.metadata).collect()
        }
        _ => return None,
    };
    Some(metadata.into_iter().filter_map(|metadata| metadata.name).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        Failure,
        exit::ExitCode,
        print::{Out, OutputArgs},
    };

    #[derive(Parser)]
    #[command(name = "kubectl-demo", version)]
    struct Demo {
        #[command(flatten)]
        kube: KubeArgs,
        #[command(flatten)]
        input: InputArgs,
        #[command(flatten)]
        output: OutputArgs,
        #[command(subcommand)]
        command: Option<Sub>,
    }

    #[derive(clap::Subcommand)]
    enum Sub {
        /// Every finding
        Check,
        /// Free ranges
        Free {
            /// How long
            prefix: String,
        },
    }

    impl Plugin for Demo {
        const NAME: &'static str = "demo";

        fn output(&self) -> &OutputArgs {
            &self.output
        }

        fn candidates(argument: &str, words: &[OsString]) -> Vec<String> {
            match argument {
                "nodes" => vec!["node1".into(), "node2".into(), "other\u{1b}".into(), words.len().to_string()],
                "namespace" => vec!["kube-system".into()],
                _ => live::<Self>(argument, words),
            }
        }

        async fn run(self, _: &mut Out) -> Result<ExitCode, Failure> {
            Ok(ExitCode::Done)
        }
    }

    fn answered(words: &[&str]) -> Vec<String> {
        let argv = std::iter::once("/bin/kubectl_complete-demo").chain(words.iter().copied());
        let text = answer::<Demo>(argv.map(OsString::from).collect());
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.last().unwrap(), NO_FILES);
        assert!(text.ends_with('\n'));
        lines
    }

    #[test]
    fn kubectl_asks_under_another_name() {
        for name in ["kubectl_complete-netcidr", "/opt/bin/kubectl_complete-netcidr", "kubectl_complete-netcidr.exe"] {
            assert!(is_kubectl_asking(Some(&name.into())), "{name}");
        }
        assert!(!is_kubectl_asking(Some(&"kubectl-netcidr".into())));
        assert!(!is_kubectl_asking(None));
    }

    #[test]
    fn subcommands_with_their_help() {
        assert_eq!(answered(&["ch"]), ["check\tEvery finding", ":4"]);
        assert!(answered(&[""]).contains(&"free\tFree ranges".to_owned()));
        assert!(answered(&[]).contains(&"free\tFree ranges".to_owned()));
    }

    #[test]
    fn flags_and_their_values() {
        assert!(answered(&["--node-acc"])[0].starts_with("--node-access\t"), "{:?}", answered(&["--node-acc"]));
        assert_eq!(answered(&["--color", "al"])[0].split('\t').next(), Some("always"));
    }

    #[test]
    fn values_from_the_cluster() {
        assert_eq!(answered(&["--node", "node"]), ["node1", "node2", ":4"]);
        assert_eq!(answered(&["check", "--node", "o"]), ["other\\x1b", ":4"], "below a subcommand, and escaped");
        assert_eq!(answered(&["-n", "kube-"]), ["kube-system", ":4"]);
    }

    #[test]
    fn contexts_come_from_the_kubeconfig_that_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "apiVersion: v1\nkind: Config\ncontexts:\n- name: one\n  context: {cluster: a, user: b}\n- name: two\n  context: {cluster: a, user: b}\n";
        std::fs::write(file.path(), text).unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(answered(&["--kubeconfig", path, "--context", ""]), ["one", "two", ":4"]);
        assert_eq!(answered(&["--kubeconfig", "/nowhere", "--context", ""]), [":4"]);
    }

    #[test]
    fn a_script_for_each_shell() {
        for shell in Shell::value_variants() {
            assert!(script::<Demo>(*shell).contains("kubectl-demo"), "{shell:?}");
        }
    }
}
