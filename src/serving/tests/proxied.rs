//! Clients behind a trusted proxy, and those that only say so.

use super::*;

/// What a client asks that is never answered, by this way.
fn never(forwarded: &str) -> String {
    format!("GET /never HTTP/1.1\r\nhost: here\r\nx-forwarded-for: {forwarded}\r\n\r\n")
}

/// What is answered to a client that came by this way.
async fn asked(place: &Place, forwarded: &str) -> String {
    let head = "GET /healthz HTTP/1.1\r\nhost: here\r\nconnection: close\r\n";
    said(
        place,
        &format!("{head}x-forwarded-for: {forwarded}\r\n\r\n"),
    )
    .await
}

#[tokio::test]
async fn a_client_behind_a_proxy_has_no_more_under_way_than_its_share() {
    let bounds = Bounds {
        per_address: 2,
        ..Bounds::default()
    };
    let place = place(bounds).await;
    let mut held = Vec::new();
    for way in ["192.0.2.7", "198.51.100.1, 192.0.2.7"] {
        let mut stream = TcpStream::connect(place.address).await.unwrap();
        stream.write_all(never(way).as_bytes()).await.unwrap();
        held.push(stream);
    }
    // Both are under way once a third is refused.
    let refused = async {
        loop {
            let answer = asked(&place, "192.0.2.7").await;
            if answer.starts_with("HTTP/1.1 429") {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(20), refused).await;
    assert!(refused.unwrap().to_lowercase().contains("retry-after: 1"));
    let other = asked(&place, "192.0.2.7, 198.51.100.1").await;
    assert!(other.ends_with("alive\n"), "{other}");
    drop(held);
    let again = async { while !asked(&place, "192.0.2.7").await.ends_with("alive\n") {} };
    let again = tokio::time::timeout(Duration::from_secs(20), again).await;
    assert!(again.is_ok(), "its share was not given back");
}

#[tokio::test]
async fn who_is_no_trusted_proxy_is_not_believed() {
    let bounds = Bounds {
        per_address: 2,
        proxies: Vec::new(),
        ..Bounds::default()
    };
    let place = place(bounds).await;
    let mut held = Vec::new();
    for way in ["192.0.2.1", "192.0.2.2"] {
        let mut stream = TcpStream::connect(place.address).await.unwrap();
        stream.write_all(never(way).as_bytes()).await.unwrap();
        held.push(stream);
    }
    // Its connections are counted, whatever it says of where they come from.
    let mut third = TcpStream::connect(place.address).await.unwrap();
    // The connection may be cut before this is written.
    let _ = third.write_all(never("192.0.2.3").as_bytes()).await;
    let mut byte = [0];
    let end = tokio::time::timeout(Duration::from_secs(20), third.read(&mut byte)).await;
    assert!(end.expect("cut").map_or(true, |read| read == 0));
}
