//! Sign-ins, links, tokens, and the audit log.

use handoffd::ledger::access::{AuditEntry, AuditFilter, Digest, SignInRow, TokenRow};

use crate::world::{World, t};

fn key(n: u8) -> Digest {
    [n; 32]
}

fn signed_in(name: &str, at: i64, until: i64) -> SignInRow {
    SignInRow {
        name: name.into(),
        way: "password".into(),
        role: "operator".into(),
        unmask: false,
        basis: "abc".into(),
        made_at: t(at),
        seen_at: t(at),
        until: t(until),
    }
}

pub async fn a_sign_in_is_known_to_every_daemon_until_it_ends(w: &World) {
    let row = signed_in("ana", 0, 100);
    w.a.put_sign_in(&key(1), &row).await.unwrap();
    assert_eq!(w.b.sign_in(&key(1)).await, Ok(Some(row.clone())));
    assert_eq!(w.b.sign_in(&key(2)).await, Ok(None));
    w.b.touch_sign_in(&key(1), t(50)).await.unwrap();
    w.b.touch_sign_in(&key(1), t(40)).await.unwrap();
    let seen = w.a.sign_in(&key(1)).await.unwrap().unwrap();
    assert_eq!(seen.seen_at, t(50), "it never goes back");
    assert_eq!(w.b.end_sign_in(&key(1)).await, Ok(true));
    assert_eq!(w.a.sign_in(&key(1)).await, Ok(None));
    assert_eq!(w.a.end_sign_in(&key(1)).await, Ok(false));
    w.a.touch_sign_in(&key(1), t(60)).await.unwrap();
    assert_eq!(w.a.sign_in(&key(1)).await, Ok(None), "it stays ended");
}

pub async fn sign_ins_that_have_ended_are_forgotten(w: &World) {
    w.a.put_sign_in(&key(1), &signed_in("ana", 0, 10))
        .await
        .unwrap();
    w.a.put_sign_in(&key(2), &signed_in("bob", 5, 20))
        .await
        .unwrap();
    assert!(w.a.sign_in(&key(1)).await.unwrap().is_some());
    w.a.put_sign_in(&key(3), &signed_in("eve", 15, 99))
        .await
        .unwrap();
    assert_eq!(w.b.sign_in(&key(1)).await, Ok(None));
    assert!(w.b.sign_in(&key(2)).await.unwrap().is_some());
}

pub async fn who_was_seen_is_remembered(w: &World) {
    w.a.put_sign_in(&key(1), &signed_in("bob", 0, 100))
        .await
        .unwrap();
    w.a.put_sign_in(&key(2), &signed_in("ana", 1, 100))
        .await
        .unwrap();
    let again = SignInRow {
        role: "admin".into(),
        ..signed_in("bob", 7, 100)
    };
    w.a.put_sign_in(&key(3), &again).await.unwrap();
    w.a.touch_sign_in(&key(2), t(30)).await.unwrap();
    let people = w.b.people("").await.unwrap();
    let short: Vec<_> = people
        .iter()
        .map(|one| (one.name.as_str(), one.role.as_str(), one.seen_at))
        .collect();
    assert_eq!(short, [("ana", "operator", t(30)), ("bob", "admin", t(7))]);
    assert_eq!(w.b.people("ana").await.unwrap().len(), 1);
    let bob = w.b.person("bob", "password").await.unwrap();
    assert_eq!(bob.as_ref(), Some(&people[1]));
    assert_eq!(w.b.person("bob", "openid").await, Ok(None));
}

pub async fn a_link_signs_in_once(w: &World) {
    w.a.put_link(&key(1), t(0), t(600)).await.unwrap();
    w.a.put_link(&key(2), t(0), t(600)).await.unwrap();
    let one = key(1);
    let both = tokio::join!(w.a.take_link(&one, t(1)), w.b.take_link(&one, t(1)));
    assert!(matches!(
        both,
        (Ok(true), Ok(false)) | (Ok(false), Ok(true))
    ));
    assert_eq!(w.a.take_link(&key(2), t(600)).await, Ok(false), "too late");
    assert_eq!(w.a.take_link(&key(9), t(1)).await, Ok(false));
}

fn token(id: &str) -> TokenRow {
    TokenRow {
        id: id.into(),
        name: format!("for {id}"),
        owner: "ana".into(),
        owner_way: "password".into(),
        role: "viewer".into(),
        unmask: true,
        made_at: t(0),
        until: Some(t(1_000)),
        used_at: None,
    }
}

pub async fn a_token_is_found_by_its_digest_until_it_is_revoked(w: &World) {
    w.a.put_token(&key(1), &token("1")).await.unwrap();
    let other = TokenRow {
        until: None,
        ..token("2")
    };
    w.a.put_token(&key(2), &other).await.unwrap();
    assert_eq!(w.b.token(&key(1)).await, Ok(Some(token("1"))));
    assert_eq!(w.b.token(&key(2)).await, Ok(Some(other.clone())));
    assert_eq!(w.b.tokens("").await, Ok(vec![token("1"), other.clone()]));
    assert_eq!(w.b.tokens("1").await, Ok(vec![other]));
    w.b.touch_token("1", t(9)).await.unwrap();
    w.b.touch_token("1", t(8)).await.unwrap();
    let used = TokenRow {
        used_at: Some(t(9)),
        ..token("1")
    };
    assert_eq!(w.a.revoke_token("1").await, Ok(Some(used)));
    assert_eq!(w.b.token(&key(1)).await, Ok(None));
    assert_eq!(w.b.revoke_token("1").await, Ok(None));
    let twice = w.a.put_token(&key(2), &token("3")).await;
    assert!(twice.is_err(), "a digest is one token's");
}

/// What somebody did.
pub fn entry(who: &str, what: &str, at: i64) -> AuditEntry {
    AuditEntry {
        at: t(at),
        who: who.into(),
        way: "password".into(),
        what: what.into(),
        object: "session s-1".into(),
        before: None,
        after: Some("{\"count\":1}".into()),
        outcome: "done".into(),
    }
}

pub async fn the_audit_log_is_told_newest_first(w: &World) {
    let all = [
        entry("ana", "retry", 0),
        entry("bob", "retry", 1),
        entry("ana", "skip", 2),
        entry("ana", "retry", 3),
    ];
    let mut numbers = Vec::new();
    for one in &all {
        numbers.push(w.a.note(one).await.unwrap());
    }
    assert!(numbers.is_sorted());
    let found = async |who: Option<&str>, what: Option<&str>, after, limit| {
        let filter = AuditFilter {
            who: who.map(str::to_owned),
            what: what.map(str::to_owned),
            after,
            limit,
        };
        let found = w.b.audit(&filter).await.unwrap();
        let places = found.iter().map(|(id, one)| {
            let place = numbers.iter().position(|number| number == id).unwrap();
            assert_eq!(one, &all[place]);
            place
        });
        places.collect::<Vec<_>>()
    };
    assert_eq!(found(None, None, None, 10).await, [3, 2, 1, 0]);
    assert_eq!(found(None, None, None, 2).await, [3, 2]);
    assert_eq!(found(None, None, Some(numbers[2]), 2).await, [1, 0]);
    assert_eq!(found(Some("ana"), None, None, 10).await, [3, 2, 0]);
    assert_eq!(found(None, Some("retry"), None, 10).await, [3, 1, 0]);
    let both = found(Some("ana"), Some("retry"), Some(numbers[3]), 10);
    assert_eq!(both.await, [0]);
    assert_eq!(found(Some("eve"), None, None, 10).await, [0; 0]);
}
