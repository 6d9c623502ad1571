//! The shapes of single values.

/// An organisation's id in its 15-character form. The 18-character form adds three characters that
/// say which of the 15 are upper case; they are checked, since a copy that lost its case is a
/// different organisation.
pub(super) fn org_id_15(id: &str) -> Result<String, String> {
    let found = format!("found a text of {} characters", id.chars().count());
    if !matches!(id.len(), 15 | 18) || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!("{found}, not 15 or 18 letters and digits"));
    }
    if !id.starts_with("00D") {
        return Err(format!(
            "{found} that does not begin with 00D, so it is the id of something else than an organisation"
        ));
    }
    let (short, suffix) = id.split_at(15);
    if !suffix.is_empty() && !suffix.eq_ignore_ascii_case(&case_suffix(short)) {
        return Err("found a text of 18 characters of which the last three do not fit the first fifteen; upper and lower case matter".into());
    }
    Ok(short.to_owned())
}

/// The three characters of the 18-character form: five bits each, set where a letter is upper case.
pub(super) fn case_suffix(id: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    id.as_bytes()
        .chunks(5)
        .map(|chunk| {
            let bits = chunk.iter().enumerate().fold(0, |bits, (at, c)| {
                bits | usize::from(c.is_ascii_uppercase()) << at
            });
            char::from(LETTERS[bits])
        })
        .collect()
}

pub(super) fn is_developer_name(name: &str) -> bool {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && name.len() <= 80 && name.starts_with(|c: char| c.is_ascii_alphabetic())
}

pub(super) fn is_host(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 253
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        })
}

pub(super) fn is_authority(rest: &str) -> bool {
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    (is_host(host) || host == "[::1]") && port.is_none_or(|port| port.parse::<u16>().is_ok())
}
