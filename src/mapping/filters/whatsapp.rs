//! Who somebody is in WhatsApp's own protocol: `4915112345678@s.whatsapp.net`, `…@c.us`, `…@lid`, `…@g.us`.

/// The digits of a phone number: of `whatsapp:+49…`, `49…:3@s.whatsapp.net`, `49…@c.us`, `+49 …`. Nothing
/// for whatever is no phone: a group, a channel, a broadcast, a business-scoped id, and above all an
/// `@lid`, whose digits look like one and are not.
pub(super) fn phone(text: &str) -> String {
    let text = text.trim();
    let text = text.strip_prefix("whatsapp:").unwrap_or(text);
    let (name, server) = text.split_once('@').unwrap_or((text, "c.us"));
    if !matches!(server, "c.us" | "s.whatsapp.net") {
        return String::new();
    }
    let name = name.split(':').next().unwrap_or_default();
    let is_number = |c: char| c.is_ascii_digit() || c.is_whitespace() || "+-.()/".contains(c);
    if !name.chars().all(is_number) {
        return String::new();
    }
    name.chars().filter(char::is_ascii_digit).collect()
}

/// The opaque id of somebody whose number is hidden: `187654321098765@lid`; nothing for anything else.
pub(super) fn lid(text: &str) -> String {
    let digits = text.trim().strip_suffix("@lid").unwrap_or_default();
    let digits = digits.split(':').next().unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return String::new();
    }
    format!("{digits}@lid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_is_what_is_one_and_a_lid_never_is() {
        for (text, digits) in [
            ("whatsapp:+4915112345678", "4915112345678"),
            ("4915112345678@s.whatsapp.net", "4915112345678"),
            ("4915112345678:17@s.whatsapp.net", "4915112345678"),
            (" 4915112345678@c.us ", "4915112345678"),
            ("+49 (151) 123-45678", "4915112345678"),
            ("187654321098765@lid", ""),
            ("187654321098765:2@lid", ""),
            ("120363000000000001@g.us", ""),
            ("120363000000000001@newsletter", ""),
            ("status@broadcast", ""),
            ("whatsapp:US.13491208655302741918", ""),
            ("", ""),
        ] {
            assert_eq!(phone(text), digits, "{text}");
        }
        assert_eq!(lid("187654321098765:2@lid"), "187654321098765@lid");
        for text in ["4915112345678@c.us", "a@lid", "@lid", ""] {
            assert_eq!(lid(text), "", "{text}");
        }
    }
}
