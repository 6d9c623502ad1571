//! What is wrong with a configuration, in words that say what to do.

use handoffd_contract::settings::{SECRET_NAME, did_you_mean, is_identifier, is_secret_name};
use handoffd_contract::{Credential, Problem, Secret, WebhookAuth};

use super::secrets::Secrets;

/// Problems as a list for people: how many, then one per line.
#[must_use]
pub fn tidy(problems: &[Problem]) -> String {
    let mut out = match problems.len() {
        0 => return "no problems\n".to_owned(),
        1 => "1 problem:\n".to_owned(),
        many => format!("{many} problems:\n"),
    };
    for problem in problems {
        out.push_str(&format!("  {problem}\n"));
    }
    out
}

/// Sorts problems by part: the daemon's own sections, the secrets, then target by target, in each
/// case in the order in which they were found.
pub fn sort(problems: &mut [Problem]) {
    fn part(problem: &Problem) -> u8 {
        match problem.path.as_str() {
            path if path.starts_with("target") || path.starts_with("HANDOFFD__TARGET") => 2,
            path if path.starts_with("secrets") => 1,
            _ => 0,
        }
    }
    // Where a target comes first, all that is said of it comes together.
    let of = |path: &str| -> String {
        let mut parts = path.splitn(3, '.');
        match (parts.next(), parts.next()) {
            (Some("target"), Some(name)) => name.to_owned(),
            _ => path.split('.').next().unwrap_or_default().to_owned(),
        }
    };
    let mut targets: Vec<String> = Vec::new();
    for problem in problems.iter().filter(|problem| part(problem) == 2) {
        let target = of(&problem.path);
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    problems.sort_by_key(|problem| {
        let target = of(&problem.path);
        let at = targets.iter().position(|known| *known == target);
        (part(problem), at.filter(|_| part(problem) == 2))
    });
}

/// A connector's complaints about its settings, with the path that the operator sees.
#[must_use]
pub fn problems_of_target(name: &str, problems: Vec<Problem>) -> Vec<Problem> {
    problems_at(&format!("target.{name}"), problems)
}

/// The same for a target at this path.
pub(crate) fn problems_at(target: &str, problems: Vec<Problem>) -> Vec<Problem> {
    problems
        .into_iter()
        .map(|problem| {
            let path = if problem.path.is_empty() {
                format!("{target}.settings")
            } else {
                format!("{target}.settings.{}", problem.path)
            };
            Problem::new(path, problem.message)
        })
        .collect()
}

/// A problem for every secret that a target's sign-in or webhooks need and that `[secrets]` lacks.
/// One whose source failed was reported there.
#[must_use]
pub fn missing_secrets(
    target: &str,
    secrets: &Secrets,
    credential: &Credential,
    webhook: Option<&WebhookAuth>,
) -> Vec<Problem> {
    let mut needed = of_credential(credential);
    needed.extend(webhook.map(of_webhook).unwrap_or_default());
    let mut problems: Vec<Problem> = Vec::new();
    for Secret(name) in needed {
        if secrets.get(name).is_none() && !secrets.failed(name) {
            let problem = missing_secret(&format!("target.{target}.settings"), name, secrets);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    problems
}

/// The problem that `path` names a secret that is not there.
pub(super) fn missing_secret(path: &str, name: &str, secrets: &Secrets) -> Problem {
    let hint = did_you_mean(name, secrets.names());
    // A name that is no name may be a secret written in the wrong place, so it is not repeated.
    if !(is_secret_name(name) && is_identifier(name)) {
        return Problem::with_remedy(
            path,
            format!(
                "a secret's name is expected, found a text of {} characters",
                name.chars().count()
            ),
            SECRET_NAME,
        );
    }
    Problem::with_remedy(
        path,
        format!("the secret `{name}` is not declared"),
        format!("add `{name} = {{ env = \"…\" }}` or `{{ file = \"…\" }}` under [secrets]{hint}"),
    )
}

fn of_credential(credential: &Credential) -> Vec<&Secret> {
    match credential {
        Credential::None => vec![],
        Credential::Bearer { token } => vec![token],
        Credential::Header { key, .. } => vec![key],
        Credential::StandardWebhooks { secrets } => secrets.iter().collect(),
        Credential::ClientCredentials { client_secret, .. } => vec![client_secret],
        Credential::RefreshToken {
            client_secret,
            refresh_token,
            ..
        } => vec![client_secret, refresh_token],
        Credential::Miaw { private_key, .. } => vec![private_key],
        Credential::Basic { password, .. } | Credential::Forms { password, .. } => vec![password],
    }
}

fn of_webhook(webhook: &WebhookAuth) -> Vec<&Secret> {
    match webhook {
        WebhookAuth::PathToken { token } => vec![token],
        WebhookAuth::HubSpotV3 { secret, token, .. } => vec![secret, token],
        WebhookAuth::MetaSha256 {
            secrets,
            verify_token,
        } => secrets
            .iter()
            .chain(std::iter::once(verify_token))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_a_tidy_list() {
        let problems = problems_of_target(
            "support",
            vec![
                Problem::new("org_id", "found 17 characters; write 15 or 18"),
                Problem::new("", "not a table"),
            ],
        );
        assert_eq!(
            tidy(&problems),
            "2 problems:\n  target.support.settings.org_id: found 17 characters; write 15 or 18\n  \
             target.support.settings: not a table\n"
        );
    }

    #[test]
    fn every_secret_that_a_target_needs_must_be_declared() {
        let secrets = Secrets::from_pairs([("hub_token", "x")]);
        let credential = Credential::Bearer {
            token: Secret("hub_token".into()),
        };
        let webhook = WebhookAuth::HubSpotV3 {
            secret: Secret("hub_tokn".into()),
            public_url: "https://x.test".into(),
            token: Secret("pat-na1-0123 456".into()),
        };
        let problems = missing_secrets("hub", &secrets, &credential, Some(&webhook));
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "target.hub.settings: the secret `hub_tokn` is not declared; add `hub_tokn = { env = \"…\" }` or \
                 `{ file = \"…\" }` under [secrets] (did you mean `hub_token`?)",
                "target.hub.settings: a secret's name is expected, found a text of 16 characters; put the secret \
                 itself under [secrets] and its name (a-z, 0-9, _) here",
            ]
        );
    }
}
