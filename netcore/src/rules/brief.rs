//! A rule in few words: without what the names beside it say, and without what another word says already.

/// The rule for a narrow place, and where it leads behind an arrow. `-m tcp` after `-p tcp`, comments and
/// counters are left out, a host has no mask; nothing that decides is.
pub fn brief(text: &str) -> String {
    let words = words(text);
    let mut out: Vec<String> = Vec::new();
    let mut protocol = "";
    let mut at = 0;
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    while at < words.len() {
        match (word(at), word(at + 1)) {
            ("-m", "comment") if word(at + 2) == "--comment" => at += 4,
            ("comment", comment) if comment.starts_with('"') => at += 2,
            ("counter", "packets") => at += 5,
            ("-m", module) if module == protocol => at += 2,
            ("-p", name) => {
                protocol = name;
                out.push(format!("-p {name}"));
                at += 2;
            }
            ("-j" | "--jump" | "jump", to) => {
                out.push(format!("→ {to}"));
                at += 2;
            }
            ("-g" | "--goto" | "goto", to) => {
                out.push(format!("⇒ {to}"));
                at += 2;
            }
            (option @ ("-s" | "-d"), address) => {
                let host = address.strip_suffix("/32").or_else(|| address.strip_suffix("/128")).unwrap_or(address);
                out.push(format!("{option} {host}"));
                at += 2;
            }
            (other, _) => {
                out.push(other.to_owned());
                at += 1;
            }
        }
    }
    out.join(" ")
}

/// The words of a rule; what stands between quotes is one, with them.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = None;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if c.is_whitespace() && !quoted {
            words.extend(start.take().and_then(|start| text.get(start..at)));
            continue;
        }
        start = start.or(Some(at));
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    words.extend(start.and_then(|start| text.get(start..)));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_decides_is_left_out() {
        for (text, expected) in [
            (
                r#"-d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y"#,
                "-d 10.96.0.1 -p tcp --dport 443 → KUBE-SVC-NPX46M4PTMTKRN6Y",
            ),
            (r#"! -s 10.244.0.0/16 -m comment --comment "a \"b\" -j DROP" -g X"#, "! -s 10.244.0.0/16 ⇒ X"),
            ("-p udp -m tcp --dport 1", "-p udp -m tcp --dport 1"),
            ("-m mark --mark 0x4000/0x4000 -j RETURN", "-m mark --mark 0x4000/0x4000 → RETURN"),
            (
                r#"ip daddr 10.0.0.1 counter packets 3 bytes 180 jump services comment "x y""#,
                "ip daddr 10.0.0.1 → services",
            ),
            ("meta l4proto tcp dnat to 10.244.0.1:8080", "meta l4proto tcp dnat to 10.244.0.1:8080"),
            ("", ""),
            ("-m comment --comment \"open", ""),
        ] {
            assert_eq!(brief(text), expected, "{text}");
        }
    }
}
