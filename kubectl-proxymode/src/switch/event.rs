//! What happens, as it happens: lines for people, or one JSON object a line.

use plugin::{
    change,
    print::{Format, Out, Tone, View},
};
use serde::Serialize;

/// One step of a switch, or of the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SwitchEvent {
    /// When, RFC 3339.
    time: String,
    /// The node that it is about; null for the cluster.
    node: Option<String>,
    /// Which step.
    step: Step,
    /// How it stands.
    state: State,
    /// In words.
    message: String,
}

/// The steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    /// What a switch would break.
    Preflight,
    /// One change at a time.
    Lock,
    /// What is gone back by.
    Backup,
    /// kube-proxy's ConfigMap.
    Config,
    /// A node's kube-proxy is started anew, and looked at.
    Node,
    /// The way back.
    Restore,
    /// The end.
    Switch,
}

impl Step {
    const fn name(self) -> &'static str {
        match self {
            Self::Preflight => "preflight",
            Self::Lock => "lock",
            Self::Backup => "backup",
            Self::Config => "config",
            Self::Node => "node",
            Self::Restore => "restore",
            Self::Switch => "switch",
        }
    }
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// It began.
    Started,
    /// It is done.
    Done,
    /// It is left out.
    Skipped,
    /// It did not succeed.
    Failed,
}

/// Tells what happens. That nobody listens any more is no reason to leave a cluster half done: what
/// cannot be written is dropped.
pub(super) struct Teller<'o> {
    pub(super) out: &'o mut Out,
}

impl Teller<'_> {
    /// About the cluster.
    pub(super) fn tell(&mut self, step: Step, state: State, message: impl Into<String>) {
        self.write(None, step, state, message.into());
    }

    /// About a node.
    pub(super) fn of_node(&mut self, node: &str, step: Step, state: State, message: impl Into<String>) {
        self.write(Some(node), step, state, message.into());
    }

    fn write(&mut self, node: Option<&str>, step: Step, state: State, message: String) {
        let event = SwitchEvent { time: change::now(), node: node.map(str::to_owned), step, state, message };
        if *self.out.format() == Format::Json {
            if let Ok(line) = serde_json::to_string(&event) {
                let _ = self.out.lines(&(line + "\n"));
            }
            return;
        }
        let time = event.time.get(11..19).unwrap_or_default().to_owned();
        let tone = match state {
            State::Failed => Tone::Bad,
            State::Skipped => Tone::Warn,
            State::Done => Tone::Good,
            State::Started => Tone::Plain,
        };
        let about = event.node.unwrap_or_else(|| step.name().to_owned());
        let mut view = View::new();
        let text = Tone::Faint.paint(time).then("  ").then_in(Tone::Strong, about).then("  ");
        view.line(text.then_in(tone, event.message));
        let _ = self.out.view(&view);
    }
}

/// `node1, node2`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}
