//! One question: connect, read, report, print. What the commands have in common.

use std::sync::Arc;

use netcore::{
    cluster::ReadStatus,
    finding::{Finding, Unreadable},
    report::{API_VERSION, ClusterInfo, Report, Window},
};
use serde::Serialize;

use crate::{
    Failure, Plugin,
    args::{InputArgs, KubeArgs},
    cluster::{Cluster, ConnectError},
    exit::{ExitCode, FailOn},
    from::Snapshot,
    nodes::{NodeReader, NodesError, Unasked},
    print::{Detail, Format, Out, PrintError, Rows, Say, View, report::say_unread},
    record::RecordError,
    since::Changes,
};

/// Why a question could not be answered at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no way to the cluster, or the input cannot be read.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The nodes cannot be chosen or read.
    #[error(transparent)]
    Nodes(#[from] NodesError),
    /// The recording cannot be written.
    #[error("--record {0}")]
    Record(#[from] RecordError),
    /// Not one source could be read; the first reason.
    #[error("nothing could be read: {0}")]
    Nothing(String),
    /// A dump that holds nothing of use.
    #[error("{path}: nothing in it tells of {of}; {would_do} may")]
    NothingIn {
        /// The dump.
        path: String,
        /// What was looked for.
        of: &'static str,
        /// What it would have to hold.
        would_do: &'static str,
    },
    /// Flags that do not go together.
    #[error("{0}")]
    Usage(String),
    /// A command that is still to come.
    #[error("kubectl {0} is not here yet: this version has no answer and changes nothing")]
    NotHere(&'static str),
    /// The report cannot be printed.
    #[error(transparent)]
    Print(#[from] PrintError),
}

impl Error {
    /// Nothing was read, and why; `of` is what was looked for, `would_do` what a dump would have to hold.
    pub fn nothing(reason: &str, input: &InputArgs, of: &'static str, would_do: &'static str) -> Self {
        match &input.from {
            Some(path) if reason == ReadStatus::NOT_RECORDED => {
                Self::NothingIn { path: path.display().to_string(), of, would_do }
            }
            _ => Self::Nothing(reason.to_owned()),
        }
    }

    /// The failure of a plugin, with a hint where there is one.
    pub fn into_failure<P: Plugin>(self) -> Failure {
        match &self {
            // `| head` is no failure: the failure must see what happened, not what holds it.
            Self::Print(error) if error.is_broken_pipe() => Failure::from(self).code(ExitCode::BrokenPipe),
            Self::Connect(error) => match error.hint() {
                Some(hint) => Failure::from(self).hint(hint),
                None => Failure::from(self),
            },
            Self::Nothing(reason) if reason.starts_with("forbidden") => {
                let hint =
                    format!("docs/rbac/{}.yaml has the role that reads everything; any part of it helps", P::NAME);
                Failure::from(self).hint(hint)
            }
            _ => Failure::from(self),
        }
    }
}

/// What a command reads from.
pub struct Session<'a> {
    /// The API, live or out of files.
    pub cluster: &'a Cluster,
    /// The nodes.
    pub nodes: &'a NodeReader<'a>,
    /// The flags about input; those of the earlier reading where `--since` is asked about.
    pub input: &'a InputArgs,
}

/// What a command found out.
pub struct Answer<Body> {
    /// The kind's own fields.
    pub body: Body,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// What could not be read, and which checks were therefore not made.
    pub unreadable: Vec<Unreadable>,
    /// The API server's version, where it was read.
    pub version: Option<String>,
    /// The uid of namespace kube-system.
    pub uid: Option<String>,
    /// The distribution, where its signs are clear.
    pub distribution: Option<String>,
    /// What was asked for by name, or had to be read, and could not be: what, and why. Exit code 3.
    pub missing: Vec<Unreadable>,
}

/// A question about one reading of the cluster, or with `--since` about two.
pub struct Question<'a> {
    /// Which cluster.
    pub kube: &'a KubeArgs,
    /// Where objects and nodes are read.
    pub input: &'a InputArgs,
    /// The report's kind: `ProxyModeReport`.
    pub kind: &'static str,
    /// The report's rows, for `-o name` and the like.
    pub rows: Rows,
    /// From which severity on findings are exit code 1.
    pub fail_on: FailOn,
    /// How many nodes are read that were not asked for.
    pub unasked: Unasked,
    /// What could not be read is said on stderr; else the answer itself has it.
    pub says_unread: bool,
}

impl Question<'_> {
    /// Reads, prints the report, and gives the exit code.
    pub async fn ask<Body: Serialize>(
        self,
        out: &mut Out,
        gather: impl AsyncFn(&Session<'_>) -> Result<Answer<Body>, Error>,
        view: impl Fn(&Report<Body>, Detail) -> View,
    ) -> Result<ExitCode, Error> {
        let say = out.say();
        let (now, partial) = self.read(self.input, &say, &gather).await?;
        if let Some(path) = &self.input.since {
            let input = InputArgs { from: Some(path.clone()), record: None, ..self.input.clone() };
            let (before, _) = self.read(&input, &say, &gather).await?;
            let changes = Changes::of(&before, &now, self.rows.list)?;
            out.report_since(&now, &changes, self.rows, |detail| view(&now, detail))?;
        } else {
            out.report(&now, self.rows, |detail| view(&now, detail))?;
        }
        match out.format() {
            _ if !self.says_unread => {}
            Format::Table => say_unread(&now.unreadable, Detail::Table, &say),
            Format::Wide => say_unread(&now.unreadable, Detail::Wide, &say),
            _ => {}
        }
        Ok(ExitCode::of(&now.findings, self.fail_on, partial))
    }

    /// Reads and prints a picture, in a format of the command's own.
    pub async fn draw<Body>(
        self,
        out: &mut Out,
        gather: impl AsyncFn(&Session<'_>) -> Result<Answer<Body>, Error>,
        picture: impl Fn(&Report<Body>) -> String,
    ) -> Result<ExitCode, Error> {
        let (report, partial) = self.read(self.input, &out.say(), &gather).await?;
        out.lines(&picture(&report))?;
        Ok(ExitCode::of(&report.findings, self.fail_on, partial))
    }

    /// One reading: the report, and whether something that was asked for is missing in it.
    async fn read<Body>(
        &self,
        input: &InputArgs,
        say: &Say,
        gather: impl AsyncFn(&Session<'_>) -> Result<Answer<Body>, Error>,
    ) -> Result<(Report<Body>, bool), Error> {
        let kube = self.kube;
        let progress = say.progress();
        progress.start("reading the cluster", None);
        let mut cluster = Cluster::connect(kube, input).await?;
        if kube.verbosity >= 6 {
            let say = say.clone();
            cluster = cluster.traced(Arc::new(move |line| say.note(line)));
        }
        for notice in cluster.snapshot().iter().flat_map(|snapshot| snapshot.notices()) {
            say.note(notice);
        }
        let nodes = Box::pin(NodeReader::open(&cluster, input, say, self.unasked)).await?;
        let gathered = Box::pin(gather(&Session { cluster: &cluster, nodes: &nodes, input })).await;
        let interrupted = nodes.was_interrupted();
        drop(nodes);
        // whatever was read is recorded, also where it is not enough for a report
        let window = cluster.finish()?;
        progress.end();
        let answer = gathered?;
        let partial = interrupted || !answer.missing.is_empty();
        Ok((self.report(&cluster, window, answer), partial))
    }

    fn report<Body>(&self, cluster: &Cluster, window: Window, answer: Answer<Body>) -> Report<Body> {
        let mut unreadable = answer.unreadable;
        unreadable.extend(cluster.snapshot().into_iter().flat_map(Snapshot::unreadable));
        unreadable.extend(answer.missing);
        unreadable.sort();
        unreadable.dedup();
        let about = cluster.about();
        Report {
            api_version: API_VERSION,
            kind: self.kind,
            cluster: ClusterInfo {
                context: about.context.clone(),
                server: about.server.clone(),
                version: answer.version.or_else(|| about.version.clone()),
                uid: answer.uid,
                distribution: answer.distribution,
            },
            window,
            body: answer.body,
            unreadable,
            findings: answer.findings,
        }
    }
}
