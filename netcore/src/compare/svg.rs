//! The growth as a standalone SVG, light and dark.

use std::fmt::{self, Write as _};

use super::{
    Chart,
    chart::{log, thousands},
};
use crate::svg::{document, escape};

const SIZE: (usize, usize) = (800, 470);
/// The picture inside its margins: left, right, top, bottom.
const INSIDE: (f64, f64, f64, f64) = (76.0, 660.0, 72.0, 372.0);

const STYLE: &str = "\
text{font:12px system-ui,'DejaVu Sans',Helvetica,Arial,sans-serif;fill:#1f2328}\
.t{font-size:17px;font-weight:600}.f{fill:#59636e}.r{text-anchor:end;fill:#59636e}.m{text-anchor:middle;fill:#59636e}\
.bg{fill:#fff}.g{stroke:#d1d9e0;stroke-width:1}.h{stroke:#59636e;stroke-width:1;stroke-dasharray:4 3}\
polyline{fill:none;stroke-width:2.5}\
.s0{stroke:#d1242f}.s1{stroke:#8250df;stroke-dasharray:9 4}.s2{stroke:#1a7f37}.s3{stroke:#bc6c00;stroke-dasharray:2 3}\
.n0{fill:#d1242f}.n1{fill:#8250df}.n2{fill:#1a7f37}.n3{fill:#bc6c00}.x{fill:none;stroke:#1f2328;stroke-width:1.6}\
@media (prefers-color-scheme:dark){\
text{fill:#e6edf3}.f,.r,.m{fill:#9198a1}.bg{fill:#0d1117}.g{stroke:#30363d}.h{stroke:#9198a1}\
.s0{stroke:#f85149}.s1{stroke:#ab7df8}.s2{stroke:#3fb950}.s3{stroke:#d29922}\
.n0{fill:#f85149}.n1{fill:#ab7df8}.n2{fill:#3fb950}.n3{fill:#d29922}.x{stroke:#e6edf3}}";

/// The picture; `title` says of what: a context's name; `conclusion` stands below it. Text is escaped.
pub fn render(chart: &Chart, title: &str, conclusion: &[String]) -> String {
    let mut body = String::new();
    // writing into a string does not fail
    let _ = draw(chart, title, conclusion, &mut body);
    let lines = conclusion.iter().map(|sentence| wrapped(sentence).len()).sum::<usize>();
    let size = (SIZE.0, SIZE.1 + 18 * lines.saturating_sub(1));
    document(size, &format!("Rules that a new connection passes in {title}"), STYLE, &body)
}

fn draw(chart: &Chart, title: &str, conclusion: &[String], body: &mut String) -> fmt::Result {
    let (left, right, top, bottom) = INSIDE;
    writeln!(
        body,
        "<text class=\"t\" x=\"24\" y=\"34\">Rules that a new connection passes in {}</text>",
        escape(title)
    )?;
    writeln!(
        body,
        "<text class=\"f\" x=\"24\" y=\"54\">first packet, to a Service in the middle of the list; by number of Services</text>"
    )?;
    let (Some((first, last)), Some((low, high))) = (chart.services(), chart.decades()) else {
        return writeln!(body, "<text x=\"24\" y=\"90\">nothing is known to draw</text>");
    };
    let x = |services: u64| left + (right - left) * (log(services) - log(first)) / (log(last) - log(first));
    let span = f64::from(high - low);
    let y = |rules: u64| bottom - (bottom - top) * (log(rules) / std::f64::consts::LN_10 - f64::from(low)) / span;
    for decade in low..=high {
        let rules = 10_u64.pow(decade);
        let at = y(rules);
        writeln!(body, "<path class=\"g\" d=\"M{left:.1} {at:.1}H{right:.1}\"/>")?;
        writeln!(body, "<text class=\"r\" x=\"{:.1}\" y=\"{:.1}\">{}</text>", left - 8.0, at + 4.0, thousands(rules))?;
    }
    for services in [100, 500, 1_000, 5_000, 10_000, 50_000] {
        let at = x(services);
        writeln!(body, "<path class=\"g\" d=\"M{at:.1} {bottom:.1}v6\"/>")?;
        writeln!(body, "<text class=\"m\" x=\"{at:.1}\" y=\"{:.1}\">{}</text>", bottom + 22.0, thousands(services))?;
    }
    for mark in chart.marks.iter().filter(|mark| mark.rules.is_none() && (first..=last).contains(&mark.services)) {
        let at = x(mark.services);
        writeln!(body, "<path class=\"h\" d=\"M{at:.1} {top:.1}V{bottom:.1}\"/>")?;
        writeln!(
            body,
            "<text class=\"f\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            at + 6.0,
            top + 10.0,
            escape(&mark.words)
        )?;
    }
    let mut ends: Vec<(usize, f64)> = Vec::new();
    for (number, series) in chart.series.iter().enumerate() {
        let points: Vec<String> =
            series.points.iter().map(|(services, rules)| format!("{:.1},{:.1}", x(*services), y(*rules))).collect();
        writeln!(body, "<polyline class=\"s{number}\" points=\"{}\"/>", points.join(" "))?;
        for (services, rules) in &series.points {
            writeln!(
                body,
                "<circle class=\"n{number}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{}: {} rules at {} Services</title></circle>",
                x(*services),
                y(*rules),
                escape(series.name),
                thousands(*rules),
                thousands(*services)
            )?;
        }
        ends.extend(series.points.last().map(|(_, rules)| (number, y(*rules))));
    }
    // names stand at the lines' ends, and not over each other
    ends.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut below = f64::NEG_INFINITY;
    for (number, at) in ends {
        let at = at.max(below + 16.0);
        below = at;
        let Some(series) = chart.series.get(number) else { continue };
        let rules = series.points.last().map_or(0, |(_, rules)| *rules);
        writeln!(
            body,
            "<text class=\"n{number}\" x=\"{:.1}\" y=\"{:.1}\">{} {}</text>",
            right + 10.0,
            at + 4.0,
            escape(series.name),
            thousands(rules)
        )?;
    }
    for mark in chart.marks.iter().filter(|mark| (first..=last).contains(&mark.services)) {
        let Some(rules) = mark.rules else { continue };
        let (across, up) = (x(mark.services), y(rules));
        writeln!(
            body,
            "<g><title>{}</title><path class=\"x\" d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\"/></g>",
            escape(&mark.words),
            across - 5.0,
            up - 5.0
        )?;
    }
    let mut at = bottom + 52.0;
    for line in conclusion.iter().flat_map(|sentence| wrapped(sentence)) {
        writeln!(body, "<text x=\"24\" y=\"{at:.1}\">{}</text>", escape(&line))?;
        at += 18.0;
    }
    Ok(())
}

/// Lines of a sentence that fit the picture.
fn wrapped(sentence: &str) -> Vec<String> {
    const COLUMNS: usize = 112;
    let mut lines = vec![String::new()];
    for word in sentence.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= COLUMNS {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
