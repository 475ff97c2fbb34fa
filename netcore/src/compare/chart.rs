//! The growth as a picture: rules by Services, both in logarithms, for a terminal. `svg` draws the same.

use super::{Crossover, GrowthPoint};

/// One line of the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What it is.
    pub name: &'static str,
    /// Services and rules.
    pub points: Vec<(u64, u64)>,
}

/// A place that the picture points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The number of Services.
    pub services: u64,
    /// The rules there; nothing for a whole number of Services.
    pub rules: Option<u64>,
    /// What it is.
    pub words: String,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// The lines: iptables, ipvs, nftables, Calico.
    pub series: Vec<Series>,
    /// This cluster, and where lines cross.
    pub marks: Vec<Mark>,
}

/// The signs that a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyphs {
    /// Letters and punctuation.
    Ascii,
    /// Dots and lines.
    Unicode,
}

/// How it is drawn for a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Columns.
    pub width: usize,
    /// Signs.
    pub glyphs: Glyphs,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The text.
    pub text: String,
    /// The number of the series that it is of, for whoever colours it.
    pub series: Option<usize>,
}

/// Rows of the picture, and columns of the labels at its left.
const ROWS: usize = 14;
const LABELS: usize = 8;
const NARROWEST: usize = 32;
const WIDEST: usize = 76;

impl Chart {
    /// The picture of a growth; `here` is this cluster's number of Services.
    pub fn of(growth: &[GrowthPoint], here: Option<u64>, crossover: Option<Crossover>) -> Self {
        let series = |name, rules: fn(&GrowthPoint) -> u64| Series {
            name,
            points: growth.iter().map(|point| (point.services, rules(point))).collect(),
        };
        let mut marks = Vec::new();
        marks.extend(here.map(|services| Mark {
            services,
            rules: None,
            words: format!("this cluster, {services} Services"),
        }));
        let calico = growth.first().map(|point| point.calico);
        marks.extend(crossover.map(|crossover| Mark {
            services: crossover.calico,
            rules: calico,
            words: format!("from {} Services on kube-proxy's iptables rules are more than Calico's", crossover.calico),
        }));
        Self {
            series: vec![
                series("iptables", |point| point.iptables),
                series("ipvs", |point| point.ipvs),
                series("nftables", |point| point.nftables),
                series("calico", |point| point.calico),
            ],
            marks,
        }
    }

    /// First and last number of Services.
    pub fn services(&self) -> Option<(u64, u64)> {
        let all = || self.series.iter().flat_map(|series| &series.points).map(|(services, _)| *services);
        Some((all().min()?, all().max()?))
    }

    /// The powers of ten around the rules: exponents.
    pub fn decades(&self) -> Option<(u32, u32)> {
        let all = || self.series.iter().flat_map(|series| &series.points).map(|(_, rules)| (*rules).max(1));
        let (low, high) = (all().min()?.ilog10(), all().max()?);
        let top = high.ilog10() + u32::from(!is_power_of_ten(high));
        Some((low, top.max(low + 1)))
    }

    /// The rules of a series at any number of Services, between its points in logarithms.
    pub fn rules_at(points: &[(u64, u64)], services: f64) -> Option<f64> {
        let pairs = points.iter().zip(points.iter().skip(1));
        let at = services.ln();
        for ((first, low), (last, high)) in pairs {
            let (first, last) = (log(*first), log(*last));
            if first - 1e-9 <= at && at <= last + 1e-9 && first < last {
                let share = (at - first) / (last - first);
                return Some((log(*low) + share * (log(*high) - log(*low))).exp());
            }
        }
        None
    }

    /// The lines for a terminal: the picture, its axis and what its signs mean.
    pub fn text(&self, look: Look) -> Vec<Vec<Segment>> {
        let (Some((first, last)), Some((low, high))) = (self.services(), self.decades()) else { return Vec::new() };
        let columns = look.width.saturating_sub(LABELS + 2).clamp(NARROWEST, WIDEST);
        let mut canvas = Canvas::new(columns, (log(first), log(last)), (low, high));
        for mark in self.marks.iter().filter(|mark| mark.rules.is_none()) {
            canvas.upright(mark.services, look.glyphs.upright());
        }
        // what grows is drawn over what stays
        for (number, series) in self.series.iter().enumerate().rev() {
            canvas.line(number, &series.points, look.glyphs);
        }
        for mark in &self.marks {
            if let Some(rules) = mark.rules {
                canvas.point(mark.services, rules, look.glyphs.cross());
            }
        }
        let mut lines = canvas.lines(look.glyphs);
        let mut legend = vec![plain(" ".repeat(LABELS))];
        for (number, series) in self.series.iter().enumerate() {
            legend.push(Segment { text: look.glyphs.sign(number).to_string(), series: Some(number) });
            legend.push(plain(format!(" {}   ", series.name)));
        }
        lines.push(trimmed(legend));
        for mark in &self.marks {
            let sign = if mark.rules.is_none() { look.glyphs.upright() } else { look.glyphs.cross() };
            let outside = if (first..=last).contains(&mark.services) { "" } else { " (left of the picture)" };
            lines.push(vec![plain(format!("{}{sign} {}{outside}", " ".repeat(LABELS), mark.words))]);
        }
        lines
    }
}

fn plain(text: String) -> Segment {
    Segment { text, series: None }
}

fn trimmed(mut line: Vec<Segment>) -> Vec<Segment> {
    while let Some(last) = line.last_mut() {
        last.text.truncate(last.text.trim_end().len());
        if !last.text.is_empty() {
            break;
        }
        line.pop();
    }
    line
}

const fn is_power_of_ten(number: u64) -> bool {
    match number.checked_ilog10() {
        Some(exponent) => number == 10_u64.pow(exponent),
        None => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a number of Services or rules")]
pub(super) fn log(number: u64) -> f64 {
    (number.max(1) as f64).ln()
}

impl Glyphs {
    const fn sign(self, series: usize) -> char {
        match (self, series) {
            (Self::Unicode, 0) => '●',
            (Self::Unicode, 1) => '◆',
            (Self::Unicode, 2) => '▲',
            (Self::Unicode, _) => '■',
            (Self::Ascii, 0) => 'i',
            (Self::Ascii, 1) => 'v',
            (Self::Ascii, 2) => 'n',
            (Self::Ascii, _) => 'c',
        }
    }

    const fn dot(self) -> char {
        if matches!(self, Self::Unicode) { '·' } else { '.' }
    }

    const fn upright(self) -> char {
        if matches!(self, Self::Unicode) { '│' } else { '|' }
    }

    const fn cross(self) -> char {
        if matches!(self, Self::Unicode) { '╳' } else { 'X' }
    }

    /// The corner, the line and the tick of the axis.
    const fn axis(self) -> (char, char, char) {
        if matches!(self, Self::Unicode) { ('└', '─', '┴') } else { ('+', '-', '+') }
    }
}

struct Canvas {
    cells: Vec<Vec<(char, Option<usize>)>>,
    columns: usize,
    x: (f64, f64),
    decades: (u32, u32),
}

impl Canvas {
    fn new(columns: usize, x: (f64, f64), decades: (u32, u32)) -> Self {
        Self { cells: vec![vec![(' ', None); columns]; ROWS], columns, x, decades }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a small picture"
    )]
    fn place(share: f64, cells: usize) -> Option<usize> {
        (-1e-9..=1.0 + 1e-9).contains(&share).then(|| (share * (cells - 1) as f64).round().max(0.0) as usize)
    }

    fn column(&self, services: u64) -> Option<usize> {
        Self::place((log(services) - self.x.0) / (self.x.1 - self.x.0), self.columns)
    }

    fn row(&self, rules: f64) -> Option<usize> {
        let (low, high) = (f64::from(self.decades.0), f64::from(self.decades.1));
        Self::place(1.0 - (rules.log10() - low) / (high - low), ROWS)
    }

    fn set(&mut self, column: usize, row: usize, sign: char, series: Option<usize>) {
        if let Some(cell) = self.cells.get_mut(row).and_then(|line| line.get_mut(column)) {
            *cell = (sign, series);
        }
    }

    fn upright(&mut self, services: u64, sign: char) {
        if let Some(column) = self.column(services) {
            (0..ROWS).for_each(|row| self.set(column, row, sign, None));
        }
    }

    fn point(&mut self, services: u64, rules: u64, sign: char) {
        if let (Some(column), Some(row)) = (self.column(services), self.row(log(rules).exp())) {
            self.set(column, row, sign, None);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a place in a small picture")]
    fn line(&mut self, number: usize, points: &[(u64, u64)], glyphs: Glyphs) {
        for column in 0..self.columns {
            let share = column as f64 / (self.columns - 1) as f64;
            let services = (self.x.0 + share * (self.x.1 - self.x.0)).exp();
            let row = Chart::rules_at(points, services).and_then(|rules| self.row(rules));
            if let Some(row) = row {
                self.set(column, row, glyphs.dot(), Some(number));
            }
        }
        for (services, rules) in points {
            if let (Some(column), Some(row)) = (self.column(*services), self.row(log(*rules).exp())) {
                self.set(column, row, glyphs.sign(number), Some(number));
            }
        }
    }

    fn lines(&self, glyphs: Glyphs) -> Vec<Vec<Segment>> {
        let mut labels = vec![String::new(); ROWS];
        for decade in self.decades.0..=self.decades.1 {
            let rules = 10_u64.pow(decade);
            let label = self.row(log(rules).exp()).and_then(|row| labels.get_mut(row));
            if let Some(label) = label {
                *label = thousands(rules);
            }
        }
        let mut lines: Vec<Vec<Segment>> = Vec::new();
        for (label, cells) in labels.iter().zip(&self.cells) {
            let tick = if label.is_empty() { ' ' } else { glyphs.axis().1 };
            let mut line = vec![plain(format!("{label:>width$}{tick}", width = LABELS - 1))];
            for (sign, series) in cells {
                match line.last_mut().filter(|segment| segment.series == *series) {
                    Some(segment) => segment.text.push(*sign),
                    None => line.push(Segment { text: sign.to_string(), series: *series }),
                }
            }
            lines.push(trimmed(line));
        }
        let (corner, dash, tick) = glyphs.axis();
        let mut axis: Vec<char> = vec![dash; self.columns];
        let mut below: Vec<char> = vec![' '; LABELS + self.columns + 8];
        for services in [100, 500, 1_000, 5_000, 10_000, 50_000] {
            let Some(column) = self.column(services) else { continue };
            if let Some(slot) = axis.get_mut(column) {
                *slot = tick;
            }
            let text = thousands(services);
            let start = LABELS + column.saturating_sub(text.len() / 2);
            for (at, c) in text.chars().enumerate() {
                if let Some(slot) = below.get_mut(start + at) {
                    *slot = c;
                }
            }
        }
        let axis: String = axis.into_iter().collect();
        lines.push(vec![plain(format!("{corner:>LABELS$}{axis}"))]);
        lines.push(trimmed(vec![plain(below.into_iter().collect())]));
        lines
    }
}

/// `10,000`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
