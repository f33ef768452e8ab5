//! What statements run on.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::Database;
use sqlx::Error;
use sqlx::SqlStr;
use sqlx::Transaction;
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Pool};
use sqlx::{Execute, Executor};

use super::run::{BoxFuture, BoxStream, Step, fetch_many, fetch_optional, observed};
use super::{Metrics, Operation, PoolLabels, Server};
use crate::clock;
use crate::init::Handle;

/// A pool, connection or transaction whose statements are spans: `SELECT users`, of kind
/// client, with the statement but never the values in it, and
/// `db.client.operation.duration`.
///
/// It is had by [`Handle::sqlx_pool`] or [`Instrument::instrumented`]. `&pool` is an executor of sqlx, as it is without
/// this; connections and transactions give one by `executor()`.
///
/// ```no_run
/// # #[cfg(feature = "sqlx")]
/// # async fn run<DB: sqlx::Database>(telemetry: trefoil::Handle, pool: sqlx::Pool<DB>)
/// # -> Result<(), sqlx::Error> {
/// let pool = telemetry.sqlx_pool(pool);
/// // sqlx::query("SELECT name FROM jobs WHERE id = ?").bind(1).fetch_one(&pool)
/// let mut transaction = pool.begin().await?;
/// // sqlx::query("DELETE FROM jobs WHERE id = ?").bind(1).execute(transaction.executor())
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Instrumented<T> {
    inner: T,
    server: Arc<Server>,
    /// Of a pool: while it is there, metrics tell of the pool. They would keep it open.
    _watched: Option<Watched>,
}

#[derive(Clone)]
struct Watched(#[allow(dead_code)] Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl Handle {
    /// A pool of sqlx with spans and metrics.
    #[must_use]
    pub fn sqlx_pool<DB: Database>(&self, pool: Pool<DB>) -> Instrumented<Pool<DB>> {
        instrumented(pool, None, Arc::new(Metrics::of(self.registry())))
    }

    /// The same, under a name that tells databases and pools apart: `db.namespace`. Without
    /// it that is the database's name in the URL, which SQLite has not.
    #[must_use]
    pub fn sqlx_pool_as<DB: Database>(&self, name: &str, pool: Pool<DB>) -> Instrumented<Pool<DB>> {
        instrumented(pool, Some(name), Arc::new(Metrics::of(self.registry())))
    }
}

/// Pools where no [`Handle`] is at hand: their metrics are the process's, as are those of
/// `metrics!`.
pub trait Instrument: Sized {
    /// As [`Handle::sqlx_pool`].
    fn instrumented(self) -> Instrumented<Self>;

    /// As [`Handle::sqlx_pool_as`].
    fn instrumented_as(self, name: &str) -> Instrumented<Self>;
}

impl<DB: Database> Instrument for Pool<DB> {
    fn instrumented(self) -> Instrumented<Self> {
        instrumented(self, None, Metrics::of_process())
    }

    fn instrumented_as(self, name: &str) -> Instrumented<Self> {
        instrumented(self, Some(name), Metrics::of_process())
    }
}

fn instrumented<DB: Database>(
    inner: Pool<DB>,
    name: Option<&str>,
    metrics: Arc<Metrics>,
) -> Instrumented<Pool<DB>> {
    let server = Arc::new(Server::of(&inner, name, metrics));
    let pool = Arc::new(inner.clone());
    server.metrics.watch(&server.pool, &pool);
    Instrumented { inner, server, _watched: Some(Watched(pool)) }
}

impl<T> Instrumented<T> {
    /// What is instrumented.
    pub fn into_inner(self) -> T {
        self.inner
    }

    fn with<U>(&self, inner: U) -> Instrumented<U> {
        Instrumented { inner, server: Arc::clone(&self.server), _watched: None }
    }
}

impl<DB: Database> Instrumented<Pool<DB>> {
    /// A connection of the pool.
    ///
    /// # Errors
    /// Those of the pool.
    pub async fn acquire(&self) -> Result<Instrumented<PoolConnection<DB>>, Error> {
        let started_ns = clock::now_ns();
        let connection = self.inner.acquire().await?;
        let seconds = clock::now_ns().saturating_sub(started_ns) as f64 / 1e9;
        let wait_time = &self.server.metrics.wait_time;
        wait_time.record(seconds, PoolLabels { pool: &self.server.pool });
        Ok(self.with(connection))
    }

    /// A transaction on a connection of the pool.
    ///
    /// # Errors
    /// Those of the pool, and of `BEGIN`.
    pub async fn begin(&self) -> Result<Instrumented<Transaction<'static, DB>>, Error> {
        let operation = Operation::begin(&self.server, "BEGIN");
        Ok(self.with(observed(operation, self.inner.begin(), |_, _| {}).await?))
    }
}

impl<DB: Database> Instrumented<Transaction<'_, DB>> {
    /// Makes what it did last.
    ///
    /// # Errors
    /// Those of `COMMIT`.
    pub async fn commit(self) -> Result<(), Error> {
        let operation = Operation::begin(&self.server, "COMMIT");
        observed(operation, self.inner.commit(), |_, ()| {}).await
    }

    /// Undoes what it did. So does dropping it, later.
    ///
    /// # Errors
    /// Those of `ROLLBACK`.
    pub async fn rollback(self) -> Result<(), Error> {
        let operation = Operation::begin(&self.server, "ROLLBACK");
        observed(operation, self.inner.rollback(), |_, ()| {}).await
    }
}

impl<C: DerefMut> Instrumented<C> {
    /// Runs statements on the connection, or on that of the transaction.
    pub fn executor(&mut self) -> Instrumented<&mut C::Target> {
        let server = Arc::clone(&self.server);
        Instrumented { inner: &mut *self.inner, server, _watched: None }
    }
}

impl<T> Deref for Instrumented<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Instrumented<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// `$inner` makes sqlx's own executor of `self`.
macro_rules! executor {
    ([$($generics:tt)*] $life:lifetime $db:ty, $type:ty, $this:ident => $inner:expr, [$($bound:tt)*]) => {
        impl<$($generics)*> Executor<$life> for $type
        where
            $($bound)*
        {
            type Database = $db;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step<$db>>
            where
                $life: 'e,
                E: 'q + Execute<'q, $db>,
            {
                let $this = self;
                let server = Arc::clone(&$this.server);
                fetch_many(&server, $inner, query)
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<<$db as Database>::Row>, Error>>
            where
                $life: 'e,
                E: 'q + Execute<'q, $db>,
            {
                let $this = self;
                let server = Arc::clone(&$this.server);
                fetch_optional(&server, $inner, query)
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                parameters: &'e [<$db as Database>::TypeInfo],
            ) -> BoxFuture<'e, Result<<$db as Database>::Statement, Error>>
            where
                $life: 'e,
            {
                let $this = self;
                let operation = Operation::begin(&$this.server, sql.as_str());
                let inner = $inner.prepare_with(sql, parameters);
                Box::pin(observed(operation, inner, |_, _| {}))
            }

            fn describe<'e>(
                self,
                sql: SqlStr,
            ) -> BoxFuture<'e, Result<sqlx::Describe<$db>, Error>>
            where
                $life: 'e,
            {
                let $this = self;
                $inner.describe(sql)
            }
        }
    };
}

executor!(['p, DB: Database] 'p DB, &'p Instrumented<Pool<DB>>, this => &this.inner, [
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
]);
executor!(['c, C: Connection] 'c C::Database, Instrumented<&'c mut C>, this => this.inner, [
    &'c mut C: Executor<'c, Database = C::Database>,
]);
