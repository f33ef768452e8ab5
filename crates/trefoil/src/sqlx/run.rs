//! Running statements under a span.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use sqlx::Database;
use sqlx::Error;
use sqlx::SqlStr;
use sqlx::error::BoxDynError;
use sqlx::{Execute, Executor};

use super::{Operation, Server};

pub(super) type BoxFuture<'e, T> = Pin<Box<dyn Future<Output = T> + Send + 'e>>;
pub(super) type BoxStream<'e, T> = Pin<Box<dyn Stream<Item = T> + Send + 'e>>;
/// What a query gives row by row.
pub(super) type Step<DB> =
    Result<sqlx::Either<<DB as Database>::QueryResult, <DB as Database>::Row>, Error>;

pub(super) fn fetch_many<'c, 'e, 'q, X, E>(
    server: &Arc<Server>,
    executor: X,
    query: E,
) -> BoxStream<'e, Step<X::Database>>
where
    'q: 'e,
    'c: 'e,
    X: Executor<'c>,
    E: 'q + Execute<'q, X::Database>,
{
    let query = Opened::new(query);
    let operation = Operation::begin(server, query.sql.as_str());
    let inner = operation.span.in_scope(|| executor.fetch_many(query));
    Box::pin(Steps::<X::Database> { inner, operation })
}

pub(super) fn fetch_optional<'c, 'e, 'q, X, E>(
    server: &Arc<Server>,
    executor: X,
    query: E,
) -> BoxFuture<'e, Result<Option<<X::Database as Database>::Row>, Error>>
where
    'q: 'e,
    'c: 'e,
    X: Executor<'c>,
    E: 'q + Execute<'q, X::Database>,
{
    let query = Opened::new(query);
    let operation = Operation::begin(server, query.sql.as_str());
    let inner = operation.span.in_scope(|| executor.fetch_optional(query));
    Box::pin(observed(operation, inner, |operation, row| operation.rows = row.is_some().into()))
}

/// Runs what is no statement of its own, or not yet: `PREPARE`, `COMMIT`.
pub(super) async fn observed<T>(
    mut operation: Operation,
    inner: impl Future<Output = Result<T, Error>>,
    count: impl FnOnce(&mut Operation, &T),
) -> Result<T, Error> {
    let span = operation.span.clone();
    let result = tracing::Instrument::instrument(inner, span).await;
    match &result {
        Ok(value) => count(&mut operation, value),
        Err(error) => operation.failed(error),
    }
    result
}

/// A query whose text is known before it runs.
struct Opened<DB: Database> {
    sql: SqlStr,
    statement: Option<DB::Statement>,
    arguments: Option<Result<Option<DB::Arguments>, BoxDynError>>,
    persistent: bool,
}

impl<DB: Database> Opened<DB> {
    fn new<'q>(mut query: impl Execute<'q, DB>) -> Self {
        let arguments = Some(query.take_arguments());
        let (statement, persistent) = (query.statement().cloned(), query.persistent());
        Opened { sql: query.sql(), statement, arguments, persistent }
    }
}

impl<DB: Database> Execute<'_, DB> for Opened<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        self.arguments.take().unwrap_or(Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// The rows of a query, whose span ends with them.
struct Steps<'e, DB: Database> {
    inner: BoxStream<'e, Step<DB>>,
    operation: Operation,
}

impl<DB: Database> Stream for Steps<'_, DB> {
    type Item = Step<DB>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Step<DB>>> {
        let Steps { inner, operation } = &mut *self;
        let step = ready!(operation.span.in_scope(|| inner.as_mut().poll_next(cx)));
        match &step {
            Some(Ok(sqlx::Either::Right(_))) => operation.rows += 1,
            Some(Ok(sqlx::Either::Left(_))) => {}
            Some(Err(error)) => operation.failed(error),
            None => operation.end(None),
        }
        Poll::Ready(step)
    }
}
