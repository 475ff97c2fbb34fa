//! The picture for a terminal.

use super::{AddressMap, Block, Cell, Fill, MapRange, letter, word};
use crate::{cidr::Family, ranges::Role};

/// What a piece of text is, for whoever colours it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Plain text.
    Plain,
    /// A block's name.
    Title,
    /// What is there for orientation only.
    Faint,
    /// A cell or name of a role.
    Role(Role),
    /// Cells with several roles that do not touch.
    Mixed,
    /// An overlap.
    Overlap,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// What it is.
    pub style: Style,
}

/// A line being written: segments of one style grow together.
#[derive(Default)]
struct Line {
    segments: Vec<Segment>,
    width: usize,
}

impl Line {
    fn push(&mut self, style: Style, text: &str) {
        self.width += text.chars().count();
        match self.segments.last_mut().filter(|segment| segment.style == style) {
            Some(segment) => segment.text.push_str(text),
            None => self.segments.push(Segment { text: text.to_owned(), style }),
        }
    }
}

/// Lines of at most `width` columns, as long as a single name fits.
struct Page {
    width: usize,
    lines: Vec<Vec<Segment>>,
}

impl Page {
    /// Words on one line, and on more where they do not fit; the next lines are indented.
    fn words(&mut self, indent: usize, words: &[(Style, String)]) {
        let mut line = Line::default();
        line.push(Style::Plain, &" ".repeat(indent));
        let mut empty = true;
        let room = self.width.saturating_sub(indent + 2);
        // what is too long for any line breaks at its blanks
        let words = words.iter().flat_map(|(style, text)| {
            let whole = text.trim().chars().count() <= room;
            let pieces: Vec<&str> = if whole { vec![text] } else { text.split_inclusive(' ').collect() };
            pieces.into_iter().map(move |piece| (*style, piece))
        });
        for (style, word) in words {
            let fits = line.width + word.trim_end().chars().count() <= self.width;
            if fits || empty {
                line.push(style, word);
            } else {
                self.finish(std::mem::take(&mut line));
                line.push(Style::Plain, &" ".repeat(indent + 2));
                line.push(style, word.trim_start());
            }
            empty = false;
        }
        self.finish(line);
    }

    /// Ends a line, without blanks at its end.
    fn finish(&mut self, mut line: Line) {
        if let Some(last) = line.segments.last_mut() {
            last.text.truncate(last.text.trim_end().len());
        }
        line.segments.retain(|segment| !segment.text.is_empty());
        self.lines.push(line.segments);
    }

    fn blank(&mut self) {
        self.lines.push(Vec::new());
    }
}

/// The picture in lines of at most `width` columns (40 is the least that it is made for).
pub fn render(map: &AddressMap, width: usize) -> Vec<Vec<Segment>> {
    let mut page = Page { width: width.max(40), lines: Vec::new() };
    if map.blocks.is_empty() {
        page.words(0, &[plain("no address range is known")]);
        return page.lines;
    }
    for block in &map.blocks {
        draw_block(&mut page, block);
        page.blank();
    }
    for overlap in &map.overlaps {
        let text = [
            (Style::Overlap, "! overlap: ".to_owned()),
            plain(&overlap.one),
            plain(" and "),
            plain(&overlap.other),
            plain(" share "),
            plain(&overlap.shared),
        ];
        page.words(0, &text);
    }
    if map.more_overlaps {
        page.words(0, &[(Style::Overlap, "! there are more overlaps".to_owned())]);
    }
    if !map.overlaps.is_empty() {
        page.blank();
    }
    if !map.not_drawn.is_empty() {
        let mut words = vec![plain("not drawn:")];
        words.extend(map.not_drawn.iter().map(|cidr| plain(&format!(" {cidr}"))));
        page.words(0, &words);
        page.blank();
    }
    legend(&mut page, map);
    page.lines
}

fn plain(text: &str) -> (Style, String) {
    (Style::Plain, text.to_owned())
}

fn faint(text: impl Into<String>) -> (Style, String) {
    (Style::Faint, text.into())
}

fn draw_block(page: &mut Page, block: &Block) {
    let cell = format!("  each cell a /{}", block.cell_prefix);
    page.words(0, &[(Style::Title, block.cidr.to_string()), faint(cell)]);
    let labels = |per_row: usize| -> Vec<String> {
        let rows = block.cells.len().div_ceil(per_row);
        if rows < 2 { vec![String::new()] } else { (0..rows).map(|row| label(block, row, per_row)).collect() }
    };
    let widest = |per_row: usize| labels(per_row).iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let per_row = [64, 32, 16].into_iter().find(|n| 2 + widest(*n) + n <= page.width).unwrap_or(8);
    let indent = widest(per_row);
    for (cells, label) in block.cells.chunks(per_row).zip(labels(per_row)) {
        let mut line = Line::default();
        line.push(Style::Faint, &format!("{label:<indent$}  "));
        for cell in cells {
            let (style, sign) = sign(cell);
            line.push(style, sign.encode_utf8(&mut [0; 4]));
        }
        page.lines.push(line.segments);
    }
    for range in &block.ranges {
        draw_range(page, range);
    }
}

/// The address that a row starts at: of IPv4 the octets in which rows differ, of IPv6 the end.
fn label(block: &Block, row: usize, per_row: usize) -> String {
    let host_bits = u32::from(block.cidr.family().bits() - block.cell_prefix);
    let offset = ((row * per_row) as u128).checked_shl(host_bits);
    let Some(address) = offset.and_then(|offset| block.cidr.nth(offset)) else { return String::new() };
    let text = address.to_string();
    match block.cidr.family() {
        Family::V4 => {
            let row_prefix = u32::from(block.cell_prefix).saturating_sub(per_row.ilog2());
            let octets = row_prefix.div_ceil(8).max(1) as usize;
            text.split('.').take(octets).collect::<Vec<_>>().join(".")
        }
        Family::V6 => {
            let cut = text.chars().count().saturating_sub(11);
            let tail: String = text.chars().skip(cut).collect();
            if cut > 0 { format!("…{tail}") } else { tail }
        }
    }
}

fn sign(cell: &Cell) -> (Style, char) {
    match cell.roles.as_slice() {
        [] => (Style::Faint, '·'),
        _ if cell.overlap => (Style::Overlap, '!'),
        [role] if cell.full => (Style::Role(*role), letter(*role)),
        [role] => (Style::Role(*role), letter(*role).to_ascii_lowercase()),
        _ => (Style::Mixed, '+'),
    }
}

fn draw_range(page: &mut Page, range: &MapRange) {
    let style = Style::Role(range.role);
    let at_least = if range.lower_bound && range.used.is_some() { "at least " } else { "" };
    let mut words = vec![
        (style, format!("{} {:<8}", letter(range.role), word(range.role))),
        plain(&format!(" {at_least}{}", range.text)),
    ];
    words.extend(range.use_text().map(|text| faint(format!("  {text}"))));
    words.extend(range.parts.as_ref().map(|parts| faint(format!("  each cell a /{}", parts.prefix))));
    page.words(2, &words);
    let Some(parts) = &range.parts else { return };
    let per_row = if 4 + parts.fill.len().min(64) <= page.width { 64 } else { 32 };
    for fill in parts.fill.chunks(per_row) {
        let mut line = Line::default();
        line.push(Style::Plain, "    ");
        for fill in fill {
            let style = if *fill == Fill::Free { Style::Faint } else { style };
            line.push(style, shade(*fill));
        }
        page.lines.push(line.segments);
    }
}

const fn shade(fill: Fill) -> &'static str {
    match fill {
        Fill::Free => "·",
        Fill::Given => "▁",
        Fill::Quarter => "░",
        Fill::Half => "▒",
        Fill::ThreeQuarters => "▓",
        Fill::Full => "█",
    }
}

fn legend(page: &mut Page, map: &AddressMap) {
    let cells = || map.blocks.iter().flat_map(|block| &block.cells);
    let mut words = Vec::new();
    for role in map.roles() {
        words.push((Style::Role(role), format!("{} {}  ", letter(role), word(role))));
    }
    if cells().any(|cell| !cell.full && cell.roles.len() == 1) {
        words.push(plain("small: part of the cell  "));
    }
    if cells().any(Cell::mixed) {
        words.push((Style::Mixed, "+ several, apart  ".to_owned()));
    }
    if cells().any(|cell| cell.overlap) {
        words.push((Style::Overlap, "! overlap  ".to_owned()));
    }
    words.push(faint("· nothing known"));
    page.words(0, &words);
    let fills: Vec<Fill> = map
        .blocks
        .iter()
        .flat_map(|b| &b.ranges)
        .filter_map(|r| r.parts.as_ref())
        .flat_map(|p| p.fill.clone())
        .collect();
    if !fills.is_empty() {
        let mut words = vec![plain("in use: "), faint("· none  ")];
        if fills.contains(&Fill::Given) {
            words.push(plain("▁ none yet, but a node has it  "));
        }
        words.extend(["░ to 25%  ", "▒ to 50%  ", "▓ to 75%  ", "█ more"].map(plain));
        page.words(0, &words);
    }
}
