//! What a mapping's field lost is told to operators, and to the rep in the record.

use handoffd_test_support::eventually;

use crate::world::{Exit, SOON, World};

/// The shipped mapping with more fields: one whose value does not fit, and one that the CRM does not
/// know.
async fn with_fields(world: &World, target: &str, fields: &str) {
    let (code, shipped) = world.command(&["mapping", "export", target]);
    assert_eq!(code, 0, "{shipped}");
    let (fore, tests) = shipped.split_at(shipped.find("[[test]]").unwrap());
    let file = world.folder.path().join(format!("{target}.toml"));
    std::fs::write(&file, format!("{fore}{fields}\n{tests}")).unwrap();
    let (code, said) = world.command(&["mapping", "apply", target, file.to_str().unwrap()]);
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_field_lost_is_logged_counted_and_shown_without_its_value() {
    let world = World::new(Exit::CloudApi).await;
    with_fields(
        &world,
        "hubspot",
        "[ticket.hs_ticket_category]\nvalue = \"a secret wish\"\nmap = { refund = \"BILLING_ISSUE\" }\n\
         [ticket.no_such_property]\nvalue = \"{{ fields.order_id }}\"\n",
    )
    .await;
    with_fields(
        &world,
        "creatio",
        "[case.UsrAmount]\nvalue = \"a secret wish\"\ntype = \"number\"\n\
         [case.UsrNoSuchColumn]\nvalue = \"{{ fields.order_id }}\"\n",
    )
    .await;
    world
        .publish(
            "handoff.requested",
            "handoff-1",
            world.handoff(&["hubspot", "creatio"]),
        )
        .await;
    let expected = [
        ("hubspot", "ticket.hs_ticket_category", "is not among"),
        ("hubspot", "ticket.no_such_property", "did not take it"),
        ("creatio", "case.UsrAmount", "is not a number"),
        ("creatio", "case.UsrNoSuchColumn", "did not take it"),
    ];
    for target in ["hubspot", "creatio"] {
        world.until_shown(target, "My parcel is broken").await;
    }
    world.until_idle().await;
    for (target, field, why) in expected {
        let column = field.split_once('.').unwrap().1;
        assert!(
            world.count(target, column) > 0,
            "the rep is not told of {field}"
        );
        eventually(SOON, || async {
            let line =
                format!("handoffd_fields_dropped_total{{target=\"{target}\",field=\"{field}\"}} 1");
            world.text("/metrics").await.contains(&line)
        })
        .await;
        let shown = world.get(&format!("/v1/sessions/{}", world.session)).await;
        let lanes = shown["lanes"].as_array().unwrap();
        let lane = lanes.iter().find(|lane| lane["target"] == target).unwrap();
        let lost = lane["fields_lost"].as_array().unwrap();
        let one = lost.iter().find(|one| one["field"] == field);
        assert!(
            one.is_some_and(|one| one["why"].as_str().unwrap().contains(why)),
            "{lane:#}"
        );
    }
    let (_, show) = world.command(&["show", &world.session]);
    let log = world.log();
    for (_, field, why) in expected {
        let line = show.lines().find(|line| line.contains(field));
        assert!(line.is_some_and(|line| line.contains(why)), "{show}");
        assert!(
            log.lines()
                .any(|line| line.contains("a field lost its value") && line.contains(field)),
            "{log}"
        );
    }
    let metrics = world.text("/metrics").await;
    for (place, text) in [("show", &show), ("log", &log), ("metrics", &metrics)] {
        assert!(!text.contains("secret wish"), "{place} holds the value");
    }
    assert!(
        world.count("hubspot", "a secret wish") > 0,
        "the rep reads it"
    );
    assert_eq!(world.command(&["status"]).0, 0, "nobody is needed for that");
}
