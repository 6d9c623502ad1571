//! `[intake.source.*]`, `[intake.dialect.*]`, `[[intake.open]]` and `[intake.sessions]`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::PathBuf;
use std::time::Duration;

use handoffd::config::{Config, On, Over, Problem, load};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let folder = std::env::temp_dir().join(handoffd_test_support::unique("gateways"));
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, text: &str) -> Result<Config, Vec<Problem>> {
        let secrets = "[secrets]\na = { env = \"A\" }\nb = { env = \"B\" }\n";
        let path = self.write("handoffd.toml", &format!("{text}\n{secrets}"));
        let env = [("A", "the-first-secret"), ("B", "the-other-secret")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        load(Some(&path), env.into_iter())
    }

    fn problems(&self, text: &str) -> Vec<String> {
        let problems = self.load(text).err().unwrap_or_default();
        problems
            .iter()
            .map(|problem| format!("{}: {}", problem.path, problem.message))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const OWN: &str = "kind = \"intake\"\nname = \"own\"\n[[event]]\ntype = \"message.received\"\nid = \"{{ body.id }}\"\nmessage.text = \"{{ body.text }}\"\n";

#[test]
fn sources_dialects_and_rules_are_read() {
    let folder = Folder::new();
    folder.write("own.toml", OWN);
    let config = folder
        .load(
            "[http]\npublic_url = \"https://handoff.example.com/\"\n\
             [intake.source.meta]\ndialects = [\"cloudapi\"]\nproof = \"meta\"\nsecret = \"a\"\nold_secret = \"b\"\nverify_token = \"b\"\n\
             [intake.source.sms]\ndialects = [\"twilio\", \"own\"]\ntoken = \"a\"\nproof = \"twilio\"\nsecret = \"b\"\n\
             [intake.source.other]\ndialects = [\"cloudevents\", \"own\"]\nproof = { header = \"X-Sig\", prefix = \"v1=\", over = \"time-and-body\", time_header = \"X-Time\", max_age = \"1m\", secret = \"a\" }\nanswer = 202\n\
             [intake.dialect.own]\nfile = \"own.toml\"\noptions = { number = \"+4930\" }\n\
             [[intake.open]]\non = \"word\"\nwords = [\"Agent\"]\n[[intake.open]]\non = \"field\"\nfield = \"body.team\"\nis = [\"7\"]\nreason = \"team\"\n\
             [intake.sessions]\nidle = \"2h\"",
        )
        .unwrap_or_else(|problems| panic!("{}", handoffd::config::tidy(&problems)));
    let gateways = &config.intake.gateways;
    let names: Vec<&str> = gateways
        .sources
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(names, ["meta", "other", "sms"]);
    let [meta, other, sms] = [0, 1, 2].map(|n| &gateways.sources[n]);
    assert!(meta.token.is_none() && meta.verify_token.is_some() && meta.answer == 200);
    assert_eq!(meta.proof.as_ref().unwrap().secrets.len(), 2);
    let proof = other.proof.as_ref().unwrap();
    let over = Over::TimeAndBody {
        time: "x-time".to_owned(),
        max_age: Duration::from_secs(60),
    };
    assert_eq!(
        (proof.header.as_str(), &proof.over, other.answer),
        ("x-sig", &over, 202)
    );
    let address = Over::AddressAndParameters {
        address: "https://handoff.example.com/intake/sms".to_owned(),
    };
    assert_eq!(
        (&sms.proof.as_ref().unwrap().over, sms.answer),
        (&address, 204)
    );
    assert_eq!(gateways.dialects["own"].options["number"], "+4930");
    assert_eq!(gateways.open[0].on, On::Words(vec!["agent".to_owned()]));
    assert_eq!(
        gateways.open[1].on,
        On::Field("body.team".to_owned(), vec!["7".to_owned()])
    );
    assert!(!gateways.signals, "named rules are the rules");
    assert_eq!(gateways.idle, Duration::from_secs(7_200));
}

#[test]
fn proofs_that_tell_their_time_are_read() {
    let config = Folder::new().load(
        "[intake.source.a]\ndialects = [\"ycloud\"]\nproof = \"ycloud\"\nsecret = \"a\"\n\
         [intake.source.b]\ndialects = [\"ycloud\"]\nproof = { header = \"X-Sig\", over = \"stamped-body\", digest_name = \"v1\", secret = \"a\" }\n\
         [intake.source.c]\ndialects = [\"ycloud\"]\nproof = \"vonage\"\nsecret = \"a\"\n\
         [intake.source.d]\ndialects = [\"ycloud\"]\nproof = { header = \"X-Jwt\", over = \"claims\", body_claim = \"sha\", max_age = \"1m\", secret = \"a\" }",
    );
    let sources = config
        .unwrap_or_else(|problems| panic!("{}", handoffd::config::tidy(&problems)))
        .intake
        .gateways
        .sources;
    let stamped = |digest: &str| Over::StampedBody {
        time: "t".to_owned(),
        digest: digest.to_owned(),
        max_age: Duration::from_secs(300),
    };
    let claims = |body: &str, seconds: u64| Over::Claims {
        body: body.to_owned(),
        max_age: Duration::from_secs(seconds),
    };
    let wanted = [
        ("ycloud-signature", stamped("s")),
        ("x-sig", stamped("v1")),
        ("authorization", claims("payload_hash", 300)),
        ("x-jwt", claims("sha", 60)),
    ];
    for (source, (header, over)) in sources.iter().zip(wanted) {
        let proof = source.proof.as_ref().unwrap();
        assert_eq!((proof.header.as_str(), &proof.over), (header, &over));
    }
}

#[test]
fn without_a_word_the_gateways_own_handoff_counts() {
    let config = Folder::new()
        .load("")
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    assert!(config.intake.gateways.signals && config.intake.gateways.open.is_empty());
    let config =
        Folder::new().load("[[intake.open]]\non = \"signal\"\n[[intake.open]]\non = \"first\"");
    let gateways = config
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .intake
        .gateways;
    assert!(gateways.signals && gateways.open.len() == 1);
}

#[test]
fn what_is_wrong_is_told_by_key_shape_and_remedy_and_never_by_value() {
    let folder = Folder::new();
    folder.write(
        "bad.toml",
        "kind = \"intake\"\nname = \"bad\"\n[[event]]\ntype = \"message.recieved\"\n",
    );
    for (text, wanted) in [
        (
            "[intake.source.x]\ntoken = \"a\"",
            "intake.source.x.dialects: is missing; write such as [\"evolution\"]",
        ),
        (
            "[intake.source.x]\ndialects = [\"waha\"]",
            "intake.source.x.token: not set, and the source has no proof either; name a secret, which then stands at the end of the address",
        ),
        (
            "[intake.source.x]\ndialects = [\"wahaa\"]\ntoken = \"a\"",
            "intake.source.x.dialects: names no dialect (did you mean `waha`?)",
        ),
        (
            "[intake.source.x]\ndialects = [\"waha\"]\nproof = \"waha\"",
            "intake.source.x.secret: is missing; name the secret that it is made with",
        ),
        (
            "[intake.source.x]\ndialects = [\"waha\"]\ntoken = \"c\"",
            "intake.source.x.token: the secret `c` is not declared",
        ),
        (
            "[intake.source.x]\ndialects = [\"waha\"]\ntoken = \"a\"\nsecret = \"a\"",
            "intake.source.x.secret: is for a proof, and there is none",
        ),
        (
            "[intake.source.x]\ndialects = [\"waha\"]\ntoken = \"a\"\ntokn = 1",
            "intake.source.x.tokn: unknown key (did you mean `token`?)",
        ),
        (
            "[intake.source.x]\ndialects = [\"twilio\"]\nproof = \"twilio\"\nsecret = \"a\"",
            "intake.source.x.proof: is made over the address by which others reach us; set http.public_url",
        ),
        (
            "[intake.source.X_Y]\ndialects = []",
            "not a source's name; use 1 to 40 of a-z, 0-9 and -",
        ),
        (
            "[intake.dialect.mine]\noptions = { a = [] }",
            "intake.dialect.mine.options.a: found a list of 0; write a text",
        ),
        (
            "[intake.dialect.mine]",
            "intake.dialect.mine.file: not set, and no dialect of this name is shipped",
        ),
        (
            "[intake.dialect.mine]\nfile = \"none.toml\"",
            "name a readable file",
        ),
        (
            "[intake.dialect.bad]\nfile = \"bad.toml\"",
            "bad.toml:4: event.type: unknown type (did you mean `message.received`?)",
        ),
        (
            "[[intake.open]]\nwords = [\"x\"]",
            "intake.open[0].on: is missing; write signal, first, word or field",
        ),
        (
            "[[intake.open]]\non = \"word\"",
            "intake.open[0].words: is missing",
        ),
        (
            "[[intake.open]]\non = \"field\"\nfield = \"team\"\nis = [\"a\"]",
            "intake.open[0].field: found a text of 4 characters; write a place in the payload",
        ),
        (
            "[intake.sessions]\nidle = \"1s\"",
            "intake.sessions.idle: found a text of 2 characters",
        ),
        (
            "[media.sign_in.x]\nhosts = [\"https://x\"]\nsecret = \"a\"\nuser = \"u\"",
            "media.sign_in.x.hosts: item 0 is no host name",
        ),
        (
            "[media.sign_in.x]\nhosts = [\"x.com\"]\nsecret = \"a\"",
            "media.sign_in.x.header: one of header and user is needed",
        ),
    ] {
        let problems = folder.problems(text);
        assert!(
            problems.iter().any(|problem| problem.contains(wanted)),
            "{text}\n{problems:#?}"
        );
        assert!(
            !problems.iter().any(|problem| problem.contains("-secret")),
            "{problems:?}"
        );
    }
}
