//! Statements in, what is recorded out.

use super::*;

fn check(dialect: Dialect, sql: &str, text: &str, summary: &str) {
    let statement = Statement::new(sql, dialect);
    assert_eq!((statement.text.as_str(), statement.summary.as_str()), (text, summary), "{sql}");
}

#[test]
fn g1_values_are_replaced_and_statements_summarised() {
    for (sql, text, summary) in [
        ("SELECT 1", "SELECT ?", "SELECT"),
        ("select * from users where id = 42", "select * from users where id = ?", "SELECT users"),
        (
            "SELECT a FROM t1 WHERE b='it''s' AND c=-1.5e-3",
            "SELECT a FROM t1 WHERE b=? AND c=-?",
            "SELECT t1",
        ),
        (
            "SELECT * FROM a, b AS x, c WHERE a.i=b.i",
            "SELECT * FROM a, b AS x, c WHERE a.i=b.i",
            "SELECT a b c",
        ),
        (
            "SELECT * FROM a x JOIN s.b ON x.i=b.i",
            "SELECT * FROM a x JOIN s.b ON x.i=b.i",
            "SELECT a s.b",
        ),
        ("INSERT INTO t (a, b) VALUES ('x', 2)", "INSERT INTO t (a, b) VALUES (?)", "INSERT t"),
        ("INSERT INTO t SELECT * FROM u", "INSERT INTO t SELECT * FROM u", "INSERT t SELECT u"),
        (
            "INSERT INTO t(a) VALUES ($1) ON CONFLICT DO UPDATE SET a=$2",
            "INSERT INTO t(a) VALUES ($1) ON CONFLICT DO UPDATE SET a=$2",
            "INSERT t",
        ),
        (
            "UPDATE t SET a = 'secret' WHERE id IN (1, 2,3)",
            "UPDATE t SET a = ? WHERE id IN (?)",
            "UPDATE t",
        ),
        ("DELETE FROM t -- 'note' 42\nWHERE a=?", "DELETE FROM t WHERE a=?", "DELETE t"),
        (
            "CREATE TABLE IF NOT EXISTS t (a INTEGER)",
            "CREATE TABLE IF NOT EXISTS t (a INTEGER)",
            "CREATE t",
        ),
        (
            "SELECT * FROM (SELECT * FROM t) x",
            "SELECT * FROM (SELECT * FROM t) x",
            "SELECT SELECT t",
        ),
        (
            "WITH x AS (SELECT * FROM t) SELECT * FROM x",
            "WITH x AS (SELECT * FROM t) SELECT * FROM x",
            "SELECT t SELECT x",
        ),
        ("/* a /* b */ 'c' */ BEGIN", "BEGIN", "BEGIN"),
        ("SELECT $tag$it's secret$tag$, $1, $$x$$", "SELECT ?, $1, ?", "SELECT"),
        ("SELECT E'it\\'s', x'ff', col1, 0xff, 1_000", "SELECT ?, col1, ?", "SELECT"),
        (
            "SELECT \"Name\" FROM \"My Table\"",
            "SELECT \"Name\" FROM \"My Table\"",
            "SELECT My Table",
        ),
        ("SELECT 'never ends", "SELECT ?", "SELECT"),
        ("SELECT 'ö', '日本' FROM ünï", "SELECT ? FROM ünï", "SELECT ünï"),
        ("", "", ""),
    ] {
        check(Dialect::Standard, sql, text, summary);
    }
}

#[test]
fn g1_each_database_quotes_in_its_way() {
    for (dialect, sql, text) in [
        (Dialect::Standard, r"SELECT 'C:\', x", "SELECT ?, x"),
        (Dialect::MySql, r"SELECT 'it\'s', x # 'c'", "SELECT ?, x"),
        (Dialect::MySql, "SELECT \"secret\" FROM `t`", "SELECT ? FROM `t`"),
        (
            Dialect::Sqlite,
            "SELECT a FROM \"t\" WHERE b=\"secret\"",
            "SELECT a FROM \"t\" WHERE b=?",
        ),
        (Dialect::Sqlite, "SELECT \"t\".a FROM t", "SELECT \"t\".a FROM t"),
    ] {
        assert_eq!(Statement::new(sql, dialect).text, text, "{sql}");
    }
}

#[test]
fn g1_operation_and_table_are_named_if_there_is_one() {
    let of = |sql| {
        let statement = Statement::new(sql, Dialect::Standard);
        (statement.operation.unwrap_or_default(), statement.collection.unwrap_or_default())
    };
    let expect = |operation: &str, collection: &str| (operation.to_owned(), collection.to_owned());
    assert_eq!(of("select * from t"), expect("SELECT", "t"));
    assert_eq!(of("SELECT * FROM t JOIN u ON t.a=u.a"), expect("SELECT", ""));
    assert_eq!(of("WITH x AS (DELETE FROM t) INSERT INTO t SELECT 1"), expect("INSERT", "t"));
    assert_eq!(of("SHOW TABLES"), expect("", ""));
}

#[test]
fn g1_noise_does_no_harm_and_long_statements_are_cut() {
    let parts = [
        "SELECT", "'", "\"", "`", "$", "$a$", "--", "/*", "*/", "(", ")", ",", ".", " ", "1", "ö",
        "FROM", "t", "\\", "\n", "e", "#",
    ];
    let mut seed = 5_u64;
    for _ in 0..20_000 {
        let mut sql = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            sql.push_str(parts[usize::try_from(seed >> 33).unwrap() % parts.len()]);
        }
        for dialect in [Dialect::Standard, Dialect::Sqlite, Dialect::MySql] {
            Statement::new(&sql, dialect);
        }
    }
    let long = Statement::new(&format!("SELECT {}", "ö, ".repeat(2000)), Dialect::Standard);
    assert!(long.text.len() <= 2048);
}
