use super::*;

fn fields(bytes: &[u8]) -> Result<Vec<(u32, WireType)>> {
    let mut reader = Reader::new(bytes);
    let mut out = Vec::new();
    while let Some(field) = reader.next_field()? {
        out.push((field.number, field.wire_type()));
    }
    Ok(out)
}

#[test]
fn every_kind_of_number_survives_at_its_limits() {
    for value in [0, 1, -1, 127, 128, i64::from(i32::MAX), i64::MAX, i64::MIN] {
        let mut w = Writer::new();
        w.int(1, value);
        w.sint(2, value);
        w.varint(3, value.cast_unsigned());
        w.fixed64(4, value.cast_unsigned());
        w.fixed32(5, value as u32);
        w.double(6, f64::from_bits(value.cast_unsigned()));
        let mut reader = Reader::new(w.as_bytes());
        let mut next = || reader.next_field().unwrap().unwrap();
        assert_eq!(next().i64().unwrap(), value);
        assert_eq!(next().sint64().unwrap(), value);
        assert_eq!(next().u64().unwrap(), value.cast_unsigned());
        assert_eq!(next().fixed64().unwrap(), value.cast_unsigned());
        assert_eq!(next().fixed32().unwrap(), value as u32);
        assert_eq!(next().double().unwrap().to_bits(), value.cast_unsigned());
        assert!(reader.next_field().unwrap().is_none());
    }
}

/// Examples of the encoding guide and the limits around them.
#[test]
fn known_bytes_are_read_as_the_guide_says() {
    let mut reader = Reader::new(&[0x08, 0x96, 0x01]);
    assert_eq!(reader.next_field().unwrap().unwrap().u64().unwrap(), 150);
    let mut reader = Reader::new(b"\x12\x07testing");
    assert_eq!(reader.next_field().unwrap().unwrap().str().unwrap(), "testing");
    let mut reader = Reader::new(&[0x08, 0x03]);
    assert_eq!(reader.next_field().unwrap().unwrap().sint32().unwrap(), -2);
    // A negative int32 takes ten bytes.
    let mut w = Writer::new();
    w.int(1, -1);
    assert_eq!(w.len(), 11);
    assert_eq!(Reader::new(w.as_bytes()).next_field().unwrap().unwrap().i32().unwrap(), -1);
    // Numbers need not be in their shortest form.
    let mut reader = Reader::new(&[0x88, 0x00, 0x81, 0x80, 0x00]);
    let field = reader.next_field().unwrap().unwrap();
    assert_eq!((field.number, field.u64().unwrap()), (1, 1));
}

#[test]
fn damage_is_refused_with_its_offset() {
    let check = |bytes: &[u8], kind: ErrorKind, offset: usize| {
        assert_eq!(fields(bytes), Err(Error { kind, offset }), "{bytes:x?}");
        assert!(Error { kind, offset }.is_structural());
    };
    check(&[0x80], ErrorKind::Truncated, 0);
    check(&[0x08], ErrorKind::Truncated, 0);
    check(&[0x08, 0x01, 0x08, 0xff], ErrorKind::Truncated, 2);
    check(&[0x09, 1, 2, 3], ErrorKind::Truncated, 0);
    check(&[0x0d, 1, 2], ErrorKind::Truncated, 0);
    check(&[0x0a, 0x02, 0x00], ErrorKind::Truncated, 0);
    check(
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ErrorKind::Truncated,
        0,
    );
    check(&[0x00, 0x01], ErrorKind::FieldNumber, 0);
    check(&[0x80, 0x80, 0x80, 0x80, 0x10, 0], ErrorKind::FieldNumber, 0);
    check(&[0x0b, 0x0c], ErrorKind::UnknownWireType(3), 0);
    check(&[0x0e], ErrorKind::UnknownWireType(6), 0);
    let long = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    check(&long, ErrorKind::VarintTooLong, 0);
}

#[test]
fn a_field_of_another_wire_type_is_refused() {
    let mut w = Writer::new();
    w.fixed32(3, 7);
    let field = Reader::new(w.as_bytes()).next_field().unwrap().unwrap();
    let kind = ErrorKind::WireType { expected: WireType::Bytes, got: WireType::Fixed32 };
    assert_eq!(field.str(), Err(Error { kind, offset: 0 }));
    assert_eq!(kind.to_string(), "a 32-bit field, expected a length-delimited field");
}

#[test]
fn a_message_of_any_length_gets_its_length_in_front() {
    for length in [0, 1, 125, 126, 127, 128, 129, 16_380, 16_381, 16_382, 16_383, 16_384, 2_097_152]
    {
        let mut w = Writer::new();
        w.str(9, "before");
        w.message(1, |w| w.bytes(2, &vec![7; length]));
        w.str(9, "after");
        let mut reader = Reader::new(w.as_bytes());
        assert_eq!(reader.next_field().unwrap().unwrap().str().unwrap(), "before");
        let mut inner = reader.next_field().unwrap().unwrap().reader().unwrap();
        assert_eq!(inner.next_field().unwrap().unwrap().bytes().unwrap(), vec![7; length]);
        assert!(inner.is_at_end());
        assert_eq!(reader.next_field().unwrap().unwrap().str().unwrap(), "after");
    }
}

#[derive(Default)]
struct Numbers<'a> {
    fixed: Scalars<'a, Fixed64>,
    varint: Scalars<'a, Sint64>,
}

impl<'a> Decode<'a> for Numbers<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut numbers = Numbers::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => numbers.fixed.push(&field, &reader)?,
                2 => numbers.varint.push(&field, &reader)?,
                _ => {}
            }
        }
        Ok(numbers)
    }
}

#[test]
fn repeated_numbers_are_read_packed_and_unpacked_and_mixed() {
    let mut w = Writer::new();
    w.packed_fixed64(1, &[1, u64::MAX]);
    w.sint(2, -5);
    w.fixed64(1, 3);
    w.packed_varint(2, &[1, 2, u64::MAX]);
    w.bytes(1, &[]);
    w.str(7, "unknown");
    w.packed_fixed64(1, &[4]);
    let numbers = Numbers::decode(Reader::new(w.as_bytes())).unwrap();
    let fixed: Vec<u64> = numbers.fixed.iter().map(Result::unwrap).collect();
    assert_eq!(fixed, [1, u64::MAX, 3, 4]);
    let varint: Vec<i64> = numbers.varint.iter().map(Result::unwrap).collect();
    assert_eq!(varint, [-5, -1, 1, i64::MIN]);
}

#[test]
fn a_packed_field_that_ends_in_a_number_is_refused() {
    let mut w = Writer::new();
    w.bytes(1, &[0; 12]);
    let numbers = Numbers::decode(Reader::new(w.as_bytes())).unwrap();
    let read: Vec<_> = numbers.fixed.iter().collect();
    assert_eq!(read, [Ok(0), Err(Error { kind: ErrorKind::Truncated, offset: 0 })]);
}

#[test]
fn formatted_text_is_cut_at_a_character() {
    let check = |bytes_max: usize, expect: &str, cut: bool| {
        let mut w = Writer::new();
        assert_eq!(w.format(3, format_args!("{}né{}", 12, "é!"), bytes_max), cut, "{bytes_max}");
        let mut expected = Writer::new();
        expected.str(3, expect);
        assert_eq!(w.as_bytes(), expected.as_bytes(), "{bytes_max}");
    };
    check(8, "12néé!", false);
    check(7, "12néé", true);
    check(6, "12né", true);
    check(4, "12n", true);
    check(0, "", true);
    let mut w = Writer::new();
    assert!(w.format(3, format_args!("constant"), 4));
    assert_eq!(&w.as_bytes()[2..], b"cons");
}
