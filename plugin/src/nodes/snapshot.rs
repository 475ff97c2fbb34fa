//! Nodes out of files: what `--from` holds of them, and what a recording says could not be read.

use netcore::probe::{Probe, UNNAMED};

use super::{Chosen, NodeAnswer, Outcome};
use crate::{
    from::{Snapshot, recording::Unread},
    print::Say,
};

/// Every answer that the files hold, in the order of their names.
pub(super) fn answers(
    snapshot: &Snapshot,
    chosen: &Chosen,
    probes: &[Probe],
    say: &Say,
    each: &mut dyn FnMut(NodeAnswer),
) {
    for file in snapshot.node_files().iter().filter(|file| probes.contains(&file.probe)) {
        if file.node.as_deref().is_some_and(|node| !chosen.has(node)) {
            continue;
        }
        let outcome = match snapshot.node_text(file) {
            Ok(bytes) => Outcome::Text(String::from_utf8(bytes).unwrap_or_else(|error| {
                let line = 1 + memchr::memchr_iter(
                    b'\n',
                    error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default(),
                )
                .count();
                say.warning(format!(
                    "{}:{line}: bytes that are no UTF-8, here and maybe below; they are shown as \u{fffd}",
                    file.name
                ));
                String::from_utf8_lossy(error.as_bytes()).into_owned()
            })),
            Err(error) => Outcome::Unreadable(error.to_string()),
        };
        each(NodeAnswer { node: file.node.clone(), probe: file.probe, file: file.name.clone(), outcome });
    }
    let recorded = snapshot.info().recording.iter().flat_map(|recording| &recording.nodes);
    for answer in recorded {
        let Some(probe) = probes.iter().find(|probe| probe.file() == answer.probe) else { continue };
        let node = (answer.node != UNNAMED).then(|| answer.node.clone());
        if node.as_deref().is_some_and(|node| !chosen.has(node)) {
            continue;
        }
        let message = answer.message.clone();
        each(NodeAnswer {
            file: file(node.as_deref(), *probe),
            node,
            probe: *probe,
            outcome: match answer.state {
                Unread::Unreadable => Outcome::Unreadable(message),
                Unread::Absent => Outcome::Absent(message),
                Unread::Unseen => Outcome::Unseen(message),
            },
        });
    }
}

/// Where a recording keeps a probe's answer.
pub(super) fn file(node: Option<&str>, probe: Probe) -> String {
    format!("nodes/{}/{}", node.unwrap_or(UNNAMED), probe.file())
}
