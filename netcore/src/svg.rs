//! Standalone SVG pictures: no script, no outside font or file.

/// A whole picture: its size in pixels, what it shows in words, its style, and its body. `label` is escaped.
pub fn document((width, height): (usize, usize), label: &str, style: &str, body: &str) -> String {
    let label = escape(label);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\" aria-label=\"{label}\">\n<title>{label}</title>\n<style>{style}</style>\n\
         <rect class=\"bg\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n"
    )
}

/// Text that cannot end an element or attribute; control characters, which XML forbids, are dropped.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')) {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
