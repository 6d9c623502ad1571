//! A method's transaction, done again when it lost against another one.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::IsolationLevel;

use super::db::{Db, Outcome};

/// How often a transaction is done again.
pub(super) const TRIES: u32 = 6;

/// How a transaction sees the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One statement, which is a transaction by itself. Whether it took place is not known when its
    /// connection breaks, so it is one that may be done twice: at worst a lease is held by nobody
    /// until it runs out, or its second doing is refused as stale.
    Statement,
    /// Several statements, each of which sees what was committed before it.
    Write,
    /// Several statements that see one moment.
    Read,
}

/// Carries out `$work` on `$db` in a transaction of this kind, again if it lost against another one.
///
/// A macro, because a function that takes the work as an asynchronous closure cannot promise that
/// its future is `Send`. <https://github.com/rust-lang/rust/issues/110338>
macro_rules! transact {
    ($self:ident, $kind:ident, $db:ident => $work:expr) => {{
        use $crate::ledger::postgres::db::Fault;
        use $crate::ledger::postgres::transact::{self, Kind};

        let mut tries = 1;
        loop {
            let mut connection = $self.pool.get().await.map_err(Fault::Pool)?;
            let outcome = match transact::begin(&mut connection, Kind::$kind).await {
                Ok(begun) => {
                    let $db = &begun;
                    match $work.await {
                        Ok(value) => begun.commit().await.map(|news| (value, news)),
                        Err(fault) => Err(fault),
                    }
                }
                Err(fault) => Err(fault),
            };
            match outcome {
                Ok((value, news)) => {
                    if !news.is_empty() {
                        $self.hints.give(news);
                    }
                    break Ok(value);
                }
                Err(fault) => {
                    if fault.spoils() {
                        transact::discard(connection);
                    } else {
                        drop(connection);
                    }
                    if tries == transact::TRIES || !fault.passes() {
                        break Err($self.noted(fault));
                    }
                    transact::pause(tries).await;
                    tries += 1;
                }
            }
        }
    }};
}

pub(super) use transact;

/// Begins a transaction.
pub(super) async fn begin(connection: &mut Object, kind: Kind) -> Outcome<Db<'_>> {
    Ok(match kind {
        Kind::Statement => Db::plain(connection),
        Kind::Write => Db::within(connection.transaction().await?),
        Kind::Read => Db::within(
            connection
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await?,
        ),
    })
}

/// Takes a connection that is of no use any more out of the pool.
pub(super) fn discard(connection: Object) {
    drop(Object::take(connection));
}

/// Waits before a transaction is done again; differently long for each who lost.
pub(super) async fn pause(tries: u32) {
    let most = 10 * 2_u64.pow(tries);
    let pause = rand::random_range(most / 2..=most);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}
