//! WhatsApp's error codes: what each says about the send, about who can mend it, and to the rep.
//!
//! One decides by the code and never by the HTTP status: 3 and 131045 came with 500 and are
//! permanent, throttles come with 400.
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>

use handoffd_contract::Reason;

/// What an error means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Turned away at the door for a short while; nothing was sent.
    Busy,
    /// Failed inside; whether the message was taken is not said.
    Ambiguous,
    /// Too many messages to this customer.
    Pair,
    /// Too many messages from this number.
    Number,
    /// Too many calls of this app.
    App,
    /// The token or its rights.
    Auth,
    /// The account or number may not send.
    Account,
    /// The 24-hour window is closed.
    Window,
    /// This customer cannot get this message.
    Recipient,
    /// WhatsApp does not take this content.
    Content,
    /// WhatsApp could not use the uploaded file; one new upload may help.
    Upload,
    /// The template cannot be sent.
    Template,
}

impl Class {
    /// The reason of a refusal for good.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Class::Recipient => Reason::Recipient,
            Class::Template => Reason::Template,
            _ => Reason::Content,
        }
    }

    /// Whether the message is lost for good and the rep must be told.
    pub(crate) fn is_final(self) -> bool {
        matches!(
            self,
            Class::Recipient | Class::Content | Class::Upload | Class::Template
        )
    }
}

/// What makes a message wait or leaves it uncertain, as ranges of codes.
const PASSING: &[(Class, &[(i64, i64)])] = &[
    (
        Class::Ambiguous,
        &[(1, 2), (131_000, 131_000), (131_016, 131_016)],
    ),
    (
        Class::Busy,
        &[
            (131_057, 131_057),
            (133_004, 133_004),
            (2_494_100, 2_494_100),
        ],
    ),
    (Class::Pair, &[(131_056, 131_056)]),
    (Class::Number, &[(130_429, 130_429)]),
    (Class::App, &[(4, 4), (80_007, 80_007)]),
    (
        Class::Auth,
        &[
            (0, 0),
            (3, 3),
            (10, 10),
            (190, 190),
            (200, 299),
            (131_005, 131_005),
        ],
    ),
    (
        Class::Account,
        &[
            (33, 33),
            (368, 368),
            (131_031, 131_031),
            (131_037, 131_037),
            (131_042, 131_042),
            (131_045, 131_045),
            (131_048, 131_048),
            (131_064, 131_064),
            // Registration; 133004 above is the one that passes by itself.
            (133_000, 133_016),
            (134_011, 134_011),
        ],
    ),
];

/// What ends a message, and what the rep is told.
const FINAL: &[(i64, Class, &str)] = &[
    (100, Class::Content, REFUSED),
    (131_008, Class::Content, REFUSED),
    (131_009, Class::Content, REFUSED),
    (
        131_051,
        Class::Content,
        "WhatsApp does not know this kind of message.",
    ),
    (
        131_052,
        Class::Content,
        "WhatsApp could not fetch the file. Attach it again, smaller.",
    ),
    (
        131_053,
        Class::Upload,
        "WhatsApp could not use the file. Attach it in a common format.",
    ),
    (135_000, Class::Content, REFUSED),
    (
        130_403,
        Class::Recipient,
        "This business has blocked the customer. Unblock them first.",
    ),
    (
        130_472,
        Class::Recipient,
        "WhatsApp shows this customer no marketing. Wait for them to write.",
    ),
    // About one customer's country, not about the account: it must not stop other customers.
    (
        130_497,
        Class::Recipient,
        "This account may not message customers in this country.",
    ),
    (
        131_021,
        Class::Recipient,
        "The customer's number is the business number itself.",
    ),
    (131_026, Class::Recipient, UNREACHABLE),
    (
        131_030,
        Class::Recipient,
        "The customer is not on this test number's list of numbers.",
    ),
    (
        131_049,
        Class::Recipient,
        "WhatsApp held this marketing message back; wait for 24 hours.",
    ),
    (
        131_050,
        Class::Recipient,
        "The customer has stopped marketing messages.",
    ),
    (
        131_062,
        Class::Recipient,
        "This kind of message needs the customer's phone number.",
    ),
    (
        137_000,
        Class::Recipient,
        "The customer's identity has changed. Ask them to write again.",
    ),
    (131_047, Class::Window, CLOSED),
    (
        131_063,
        Class::Template,
        "Marketing templates are switched off for this number.",
    ),
    (
        132_000,
        Class::Template,
        "The template has another number of parameters.",
    ),
    (
        132_001,
        Class::Template,
        "The template does not exist in this language or is not approved.",
    ),
    (
        132_005,
        Class::Template,
        "With its parameters the template is too long. Shorten the text.",
    ),
    (
        132_007,
        Class::Template,
        "The template breaks WhatsApp's policy. Write again when the customer has written.",
    ),
    (
        132_008,
        Class::Template,
        "A parameter of the template has a wrong value.",
    ),
    (
        132_012,
        Class::Template,
        "A parameter of the template has a wrong form.",
    ),
    (
        132_015,
        Class::Template,
        "The template is paused for low quality. Write again when the customer has written.",
    ),
    (
        132_016,
        Class::Template,
        "The template is disabled for low quality. Write again when the customer has written.",
    ),
    (
        132_018,
        Class::Template,
        "The parameters were refused. Leave out line breaks and long gaps.",
    ),
    (
        132_068,
        Class::Template,
        "The flow in this message is blocked.",
    ),
    (
        132_069,
        Class::Template,
        "The flow in this message is throttled.",
    ),
];

const REFUSED: &str = "WhatsApp does not take this content. Change it and send it again.";
const UNREACHABLE: &str = "The customer's WhatsApp cannot get it: no account on this number, an old \
                           app, or terms not accepted. Use another channel.";
const CLOSED: &str = "More than 24 hours have passed since the customer last wrote. Send it again when \
                      they have written.";

/// What a code means, and what a rep is told when it is final.
pub(crate) fn lookup(code: i64) -> Option<(Class, &'static str)> {
    if let Some((_, class, words)) = FINAL.iter().find(|(known, ..)| *known == code) {
        return Some((*class, words));
    }
    let within = |ranges: &[(i64, i64)]| {
        ranges
            .iter()
            .any(|(from, to)| (*from..=*to).contains(&code))
    };
    PASSING
        .iter()
        .find(|(_, ranges)| within(ranges))
        .map(|(class, _)| (*class, ""))
}

/// Whether this customer cannot be reached at all, so that the rest of a reply need not be tried.
pub(crate) fn unreachable(code: i64) -> bool {
    lookup(code).is_some_and(|(class, _)| class == Class::Recipient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_one_table_and_a_rep_is_told_what_is_final() {
        let class = |code| lookup(code).map(|(class, _)| class);
        for code in [0, 3, 10, 190, 200, 299] {
            assert_eq!(class(code), Some(Class::Auth), "{code}");
        }
        assert_eq!(class(133_004), Some(Class::Busy));
        assert_eq!(class(133_010), Some(Class::Account));
        assert_eq!(class(424_242), None);
        for (code, class, words) in FINAL {
            assert!(class.is_final() || *class == Class::Window, "{code}");
            assert!(words.ends_with('.'), "{code}");
            let twice = FINAL.iter().filter(|(other, ..)| other == code).count();
            let passing = PASSING.iter().flat_map(|(_, ranges)| *ranges);
            assert!(
                twice == 1 && !passing.clone().any(|(from, to)| from <= code && code <= to),
                "{code}"
            );
        }
    }
}
