//! A plan as people read it.

use netcore::{
    ranges::plan::{By, Plan, Risk, State, Step},
    report::Report,
};
use plugin::{
    cells,
    print::{
        Detail, Table, Text, Tone, View,
        report::{findings, plural},
    },
};

/// How many steps alike are shown one by one.
const ALIKE: usize = 5;

/// The goal, what speaks against it, and the steps: as a table, or each in full.
pub(crate) fn plan(report: &Report<Plan>, explain: bool, detail: Detail) -> View {
    let mut view = View::new();
    let Plan { goal, steps } = &report.body;
    view.line(Text::from("goal: ").then(goal.as_str()));
    if steps.is_empty() {
        view.line(Tone::Bad.paint("no plan: it cannot be done like this"));
    } else if explain {
        for (number, step) in steps.iter().enumerate() {
            in_full(&mut view, number + 1, step);
        }
    } else {
        view.gap().table(overview(steps, detail));
        view.gap()
            .line(Tone::Faint.paint("nothing was changed; --explain prints each step's command and the way back"));
    }
    findings(&mut view, &report.findings);
    view
}

fn overview(steps: &[Step], detail: Detail) -> Table {
    let mut table = Table::new(["#", "step", "what it does", "by", "risk", "takes", "state"]);
    let mut hidden = 0;
    for (i, step) in steps.iter().enumerate() {
        let alike = steps[..i].iter().rev().take_while(|before| kin(before, step)).count();
        let more = steps.get(i + 1).is_some_and(|next| kin(step, next));
        if detail == Detail::Table && alike >= ALIKE && (more || hidden > 0) {
            hidden += 1;
            if more {
                continue;
            }
            let text = format!("and {hidden} more {} like it (-o wide)", plural(hidden, "step", "steps"));
            table.row(cells!["", "", Tone::Faint.paint(text), "", "", "", ""]);
            hidden = 0;
            continue;
        }
        table.row(cells![
            (i + 1).to_string(),
            step.id.clone(),
            step.title.clone(),
            by(step.by),
            risk(step.risk),
            step.takes.clone(),
            state(step.state)
        ]);
    }
    table
}

/// Steps that do the same to several objects.
fn kin(a: &Step, b: &Step) -> bool {
    let stem = |step: &Step| step.id.split('-').next().unwrap_or_default().to_owned();
    a.kind == b.kind && stem(a) == stem(b) && a.state == b.state
}

fn in_full(view: &mut View, number: usize, step: &Step) {
    view.gap().line(
        Tone::Strong
            .paint(format!("{number}. {}", step.title))
            .then("  ")
            .then_in(Tone::Faint, format!("[{}]", step.id)),
    );
    view.line(
        Text::from("   by ")
            .then(by(step.by))
            .then(", risk: ")
            .then_in(tone(step.risk), risk_text(step.risk))
            .then(format!(", takes {}, {}", step.takes, state_text(step.state))),
    );
    view.line(format!("   before: {}", step.precondition));
    for line in step.command.lines() {
        view.line(format!("      {line}"));
    }
    view.line(format!("   after:  {}", step.expect));
    view.line(format!("   back:   {}", step.undo));
}

fn by(by: By) -> &'static str {
    match by {
        By::Api => "api",
        By::Node => "node",
        By::Cloud => "cloud",
    }
}

fn risk_text(risk: Risk) -> &'static str {
    match risk {
        Risk::None => "none",
        Risk::NewConnections => "new connections",
        Risk::Downtime => "downtime",
    }
}

fn tone(risk: Risk) -> Tone {
    match risk {
        Risk::None => Tone::Plain,
        Risk::NewConnections => Tone::Warn,
        Risk::Downtime => Tone::Bad,
    }
}

fn risk(risk: Risk) -> Text {
    tone(risk).paint(risk_text(risk))
}

fn state_text(state: State) -> &'static str {
    match state {
        State::Done => "done",
        State::Ready => "next",
        State::Waiting => "waiting",
    }
}

fn state(state: State) -> Text {
    match state {
        State::Done => Tone::Good.paint("done"),
        State::Ready => Tone::Strong.paint("next"),
        State::Waiting => Tone::Faint.paint("waiting"),
    }
}
