use super::*;

#[test]
fn s7_the_forms_as_the_document_writes_them() {
    let cases = [
        ("duration > 1s", "{ duration > 1s }"),
        (r#"operation="vm.export""#, r#"{ name = "vm.export" }"#),
        ("error=true", "{ status = error }"),
        (
            r#"tags.provider="vsphere" AND tags.vm_name="test-vm""#,
            r#"{ .provider = "vsphere" && .vm_name = "test-vm" }"#,
        ),
        (r#"error=true AND operation="vm.export""#, r#"{ status = error && name = "vm.export" }"#),
    ];
    for (plain, traceql) in cases {
        assert_eq!(translate(plain).unwrap(), traceql, "{plain}");
    }
}

#[test]
fn other_plain_forms() {
    let cases = [
        ("", "{ }"),
        ("  ", "{ }"),
        (
            "http.status_code=500 error=true",
            "{ (.http.status_code = 500 || .http.status_code = \"500\") && status = error }",
        ),
        ("http.status_code>=500", "{ .http.status_code >= 500 }"),
        ("error=false", "{ status != error }"),
        ("error!=true", "{ status != error }"),
        ("NOT error=true", "{ !(status = error) }"),
        ("not (a=x or b=y)", "{ !(.a = \"x\" || .b = \"y\") }"),
        ("a=x OR b=y AND c=z", "{ .a = \"x\" || (.b = \"y\" && .c = \"z\") }"),
        ("(a=x || b=y) && c=z", "{ (.a = \"x\" || .b = \"y\") && .c = \"z\" }"),
        ("a=x and b=y And c=z", "{ .a = \"x\" && .b = \"y\" && .c = \"z\" }"),
        (
            "service=api operation='GET /x'",
            "{ resource.service.name = \"api\" && name = \"GET /x\" }",
        ),
        ("service.name=api", "{ resource.service.name = \"api\" }"),
        ("status=error kind=SERVER", "{ status = error && kind = server }"),
        ("otel.status_code=ERROR", "{ status = error }"),
        ("minDuration=100ms maxDuration=1m30s", "{ duration >= 100ms && duration <= 1m30s }"),
        ("url=http://x.y:80/z", "{ .url = \"http://x.y:80/z\" }"),
        ("user: bob", "{ .user = \"bob\" }"),
        (
            "resource.env=prod span.x=1.5",
            "{ resource.env = \"prod\" && (span.x = 1.5 || span.x = \"1.5\") }",
        ),
        ("name=~\"GET.*\"", "{ name =~ \"GET.*\" }"),
        ("db.statement != 'a \"b\"'", "{ .db.statement != \"a \\\"b\\\"\" }"),
        ("cached=true", "{ .cached = true || .cached = \"true\" }"),
        ("x=nil", "{ .x = nil }"),
        ("{ status = error }", "{ status = error }"),
        ("{status=error} | count() > 2", "{status=error} | count() > 2"),
    ];
    for (plain, traceql) in cases {
        assert_eq!(translate(plain).unwrap(), traceql, "{plain}");
    }
}

#[test]
fn refusals_say_where_and_what_to_do() {
    let cases = [
        ("duration > 1000", 11, "unit"),
        ("duration", 8, "comparison"),
        ("a=", 2, "a value"),
        ("a=x AND", 7, "a condition"),
        ("a=x )", 4, "AND, OR"),
        ("(a=x", 4, ")"),
        ("status=broken", 7, "one of error, ok, unset"),
        ("a=\"x", 2, "close it"),
        ("({.a=1}", 7, ")"),
        ("error=maybe", 6, "true or false"),
        ("a=~\"(\"", 0, "regular expression"),
    ];
    for (plain, at, message) in cases {
        let error = translate(plain).unwrap_err();
        assert_eq!(error.span.start, at, "{plain}: {error}");
        assert!(error.message.contains(message), "{plain}: {error}");
    }
}
