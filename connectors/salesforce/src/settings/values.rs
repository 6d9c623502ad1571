//! The shapes of single values.

use handoffd_contract::settings::is_secret_name;

/// An organisation's id in its 15-character form. The 18-character form adds three characters that
/// say which of the 15 are upper case; they are checked, since a copy that lost its case is a
/// different organisation.
pub(super) fn org_id_15(id: &str) -> Result<String, String> {
    let shape = format!("{} characters", id.chars().count());
    if !matches!(id.len(), 15 | 18) || !id.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(format!(
            "{shape}; expected 15 or 18 letters and digits (Setup → Company Information → Organization ID)"
        ));
    }
    if !id.starts_with("00D") {
        return Err(format!(
            "{shape} that do not begin with 00D: the id of something else than an organisation (Setup → Company Information → Organization ID)"
        ));
    }
    let (short, suffix) = id.split_at(15);
    if !suffix.is_empty() && !suffix.eq_ignore_ascii_case(&case_suffix(short)) {
        return Err("18 characters of which the last three do not fit the first fifteen; copy it again, upper and lower case matter".into());
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

pub(super) fn developer_name(name: &str) -> Result<String, String> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if plain && name.len() <= 80 && name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        Ok(name.to_owned())
    } else {
        Err("not an API name (letters, digits and underscores); take the deployment's API Name, not its label".into())
    }
}

pub(super) fn secret_name(name: &str) -> Result<String, String> {
    if !is_secret_name(name) {
        Err("is no secret's name and may be the key itself; put the key among the secrets and write the secret's name here".into())
    } else {
        Ok(name.to_owned())
    }
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
