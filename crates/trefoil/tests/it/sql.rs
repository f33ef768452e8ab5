//! sqlx with a real database (G1).

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row as _};
use trefoil::Telemetry;
use trefoil::sqlx::{Instrument as _, Instrumented};

use crate::edge::{has, run, status};

const CLIENT: i32 = 3;
const ERROR: i32 = 2;

async fn pool(telemetry: &Telemetry) -> Instrumented<SqlitePool> {
    let options = SqliteConnectOptions::new().in_memory(true);
    // In memory each connection is a database of its own.
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let pool = telemetry.sqlx_pool_as("accounts", pool);
    let create = "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT UNIQUE)";
    sqlx::query(create).execute(&pool).await.unwrap();
    pool
}

#[test]
fn g1_statements_are_spans_without_values() {
    let left = run(async |telemetry| {
        let pool = pool(telemetry).await;
        let insert = "INSERT INTO users (email) VALUES (?)";
        sqlx::query(insert).bind("bound@s3cr3t").execute(&pool).await.unwrap();
        let literal = "INSERT INTO users (email) VALUES ('literal@s3cr3t')";
        sqlx::query(AssertSqlSafe(literal.to_owned())).execute(&pool).await.unwrap();
        let rows = sqlx::query("SELECT email FROM users ORDER BY id").fetch_all(&pool).await;
        assert_eq!(rows.unwrap().len(), 2);
        let one: (String,) = sqlx::query_as("SELECT email FROM users WHERE id = ?")
            .bind(1)
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(one.0, "bound@s3cr3t");
    });
    assert_eq!(
        left.names(),
        ["CREATE users", "INSERT users", "INSERT users", "SELECT users", "SELECT users"]
    );
    let select = &left.spans[3];
    assert_eq!((select.kind, status(select)), (CLIENT, 0));
    has(
        &select.attributes,
        &[
            ("db.system.name", "sqlite"),
            ("db.namespace", "accounts"),
            ("db.operation.name", "SELECT"),
            ("db.collection.name", "users"),
            ("db.query.summary", "SELECT users"),
            ("db.query.text", "SELECT email FROM users ORDER BY id"),
            ("db.response.returned_rows", "2"),
            ("error.type", "-"),
        ],
    );
    let text = ("db.query.text", "INSERT INTO users (email) VALUES (?)");
    has(&left.spans[2].attributes, &[text]);
    has(&left.spans[4].attributes, &[("db.response.returned_rows", "1")]);
    assert!(!format!("{:?}", left.spans).contains("s3cr3t"), "a value left");
}

#[test]
fn g1_failing_statements_tell_the_code_and_no_values() {
    let left = run(async |telemetry| {
        let pool = pool(telemetry).await;
        for _ in 0..2 {
            let insert = "INSERT INTO users (email) VALUES (?)";
            let _ = sqlx::query(insert).bind("a@s3cr3t").execute(&pool).await;
        }
        sqlx::query("SELECT * FROM nowhere").fetch_all(&pool).await.unwrap_err();
    });
    let [_, good, twice, nowhere] = left.spans.as_slice() else { panic!("{:?}", left.names()) };
    assert_eq!(status(good), 0);
    assert_eq!((status(twice), status(nowhere)), (ERROR, ERROR));
    // SQLITE_CONSTRAINT_UNIQUE and SQLITE_ERROR.
    has(&twice.attributes, &[("error.type", "2067"), ("db.response.status_code", "2067")]);
    has(&nowhere.attributes, &[("error.type", "1"), ("db.operation.name", "SELECT")]);
    assert!(!format!("{:?}", left.spans).contains("s3cr3t"), "a value left");
}

#[test]
fn g1_transactions_and_connections_are_executors_too() {
    let left = run(async |telemetry| {
        let pool = pool(telemetry).await;
        let outer = tracing::info_span!("outer");
        let work = async {
            let mut transaction = pool.begin().await.unwrap();
            let insert = "INSERT INTO users (email) VALUES ('x')";
            sqlx::query(insert).execute(transaction.executor()).await.unwrap();
            transaction.commit().await.unwrap();
            let mut transaction = pool.begin().await.unwrap();
            sqlx::query("DELETE FROM users").execute(transaction.executor()).await.unwrap();
            transaction.rollback().await.unwrap();
            let mut connection = pool.acquire().await.unwrap();
            let count = sqlx::query("SELECT count(*) FROM users");
            let row = count.fetch_one(connection.executor()).await.unwrap();
            assert_eq!(row.get::<i64, _>(0), 1);
        };
        tracing::Instrument::instrument(work, outer).await;
    });
    let outer = left.span("outer");
    let inside = left.spans.iter().filter(|span| span.parent_span_id == outer.span_id);
    let names: Vec<_> = inside.map(|span| span.name.as_str()).collect();
    let expect =
        ["BEGIN", "INSERT users", "COMMIT", "BEGIN", "DELETE users", "ROLLBACK", "SELECT users"];
    assert_eq!(names, expect);
}

#[test]
fn g1_pools_and_operations_are_measured() {
    let left = run(async |telemetry| {
        let pool = pool(telemetry).await;
        let connection = pool.acquire().await.unwrap();
        telemetry.flush(std::time::Duration::from_secs(20));
        drop(connection);
        pool.close().await;
    });
    let point = |metric: &str, key: &str, value: &str| {
        let points = left.points(metric);
        let found = points.iter().find(|(labels, ..)| labels.get(key).is_some_and(|v| v == value));
        found.unwrap_or_else(|| panic!("{metric} with {key}={value} among {points:?}")).1
    };
    let (pool, state) = ("db.client.connection.pool.name", "db.client.connection.state");
    assert!(point("db.client.operation.duration", "db.operation.name", "CREATE") >= 1.0);
    assert_eq!(point("db.client.connection.count", state, "used"), 1.0);
    assert_eq!(point("db.client.connection.max", pool, "accounts"), 1.0);
    assert!(point("db.client.connection.wait_time", pool, "accounts") >= 1.0);
}

/// Without a handle the metrics are the process's, whoever reads those.
#[test]
fn g1_a_pool_that_knows_no_telemetry_is_measured_in_the_process() {
    let left = crate::edge::run_with(
        |builder| builder.registry(trefoil::metric::Registry::global().clone()),
        async |telemetry| {
            let options = SqliteConnectOptions::new().in_memory(true);
            let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
            let pool = pool.unwrap().instrumented_as("process");
            drop(pool.acquire().await.unwrap());
            telemetry.flush(std::time::Duration::from_secs(20));
        },
    );
    let points = left.points("db.client.connection.wait_time");
    let found = points.iter().any(|(labels, ..)| {
        labels.get("db.client.connection.pool.name").is_some_and(|name| name == "process")
    });
    assert!(found, "{points:?}");
}
