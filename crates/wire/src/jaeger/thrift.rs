//! Thrift's two encodings, as far as Jaeger's messages need them.
//!
//! Sources: `thrift-binary-protocol.md`, `thrift-compact-protocol.md` of apache/thrift.

use crate::protobuf::Result;

/// How values lie on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Fixed widths, big endian.
    Binary,
    /// Varints, and field numbers as distances.
    Compact,
}

/// The types of fields: the numbers of the binary and of the compact encoding.
#[derive(Clone, Copy)]
enum Type {
    Double,
    I32,
    I64,
    Bytes,
    Struct,
    List,
}

impl Type {
    fn number(self, encoding: Encoding) -> u8 {
        let (binary, compact) = match self {
            Type::Double => (4, 7),
            Type::I32 => (8, 5),
            Type::I64 => (10, 6),
            Type::Bytes => (11, 8),
            Type::Struct => (12, 12),
            Type::List => (15, 9),
        };
        match encoding {
            Encoding::Binary => binary,
            Encoding::Compact => compact,
        }
    }
}

/// Writes the fields of one struct, the outermost. Numbers of fields grow.
#[derive(Debug)]
pub struct Writer {
    encoding: Encoding,
    out: Vec<u8>,
    /// The number of the field before, in this struct.
    last: i16,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new(encoding: Encoding) -> Writer {
        Writer { encoding, out: Vec::new(), last: 0 }
    }

    /// What was written.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Ends the struct.
    pub fn end(&mut self) {
        self.out.push(0);
    }

    /// A `bool`.
    pub fn bool(&mut self, number: i16, value: bool) {
        match self.encoding {
            Encoding::Binary => {
                self.field(number, 2);
                self.out.push(u8::from(value));
            }
            Encoding::Compact => self.field(number, if value { 1 } else { 2 }),
        }
    }

    /// An `i32`, or an enum.
    pub fn i32(&mut self, number: i16, value: i32) {
        self.field(number, Type::I32.number(self.encoding));
        match self.encoding {
            Encoding::Binary => self.out.extend_from_slice(&value.to_be_bytes()),
            Encoding::Compact => self.zigzag(i64::from(value)),
        }
    }

    /// An `i64`.
    pub fn i64(&mut self, number: i16, value: i64) {
        self.field(number, Type::I64.number(self.encoding));
        match self.encoding {
            Encoding::Binary => self.out.extend_from_slice(&value.to_be_bytes()),
            Encoding::Compact => self.zigzag(value),
        }
    }

    /// A `double`. The compact encoding has it little endian, as all its writers do.
    pub fn double(&mut self, number: i16, value: f64) {
        self.field(number, Type::Double.number(self.encoding));
        match self.encoding {
            Encoding::Binary => self.out.extend_from_slice(&value.to_be_bytes()),
            Encoding::Compact => self.out.extend_from_slice(&value.to_le_bytes()),
        }
    }

    /// A `string`.
    pub fn text(&mut self, number: i16, value: &str) {
        self.bytes(number, value.as_bytes());
    }

    /// A `binary`.
    pub fn bytes(&mut self, number: i16, value: &[u8]) {
        self.field(number, Type::Bytes.number(self.encoding));
        self.length(value.len());
        self.out.extend_from_slice(value);
    }

    /// A struct, whose end `fill` writes.
    pub fn structure(&mut self, number: i16, fill: impl FnOnce(&mut Writer)) {
        self.field(number, Type::Struct.number(self.encoding));
        let last = std::mem::take(&mut self.last);
        fill(self);
        self.last = last;
    }

    /// A struct that is encoded already, with its end.
    pub fn encoded_structure(&mut self, number: i16, bytes: &[u8]) {
        self.structure(number, |w| w.out.extend_from_slice(bytes));
    }

    /// A list of structs that are encoded already.
    pub fn encoded_structures(&mut self, number: i16, items: &[Vec<u8>]) {
        self.field(number, Type::List.number(self.encoding));
        self.list_head(items.len());
        items.iter().for_each(|item| self.out.extend_from_slice(item));
    }

    /// A list of structs.
    ///
    /// # Errors
    /// What `fill` reads is damaged.
    pub fn list(
        &mut self,
        number: i16,
        fill: impl FnOnce(&mut List<'_>) -> Result<()>,
    ) -> Result<()> {
        self.field(number, Type::List.number(self.encoding));
        // The items are counted while they are written, and their number goes in front.
        let before = std::mem::take(&mut self.out);
        let last = self.last;
        let mut list = List { writer: self, count: 0 };
        let filled = fill(&mut list);
        let count = list.count;
        self.last = last;
        let items = std::mem::replace(&mut self.out, before);
        self.list_head(count);
        self.out.extend_from_slice(&items);
        filled
    }

    /// A message that calls a method without waiting for an answer.
    pub fn one_way_call(&mut self, method: &str, arguments: impl FnOnce(&mut Writer)) {
        const ONE_WAY: u8 = 4;
        match self.encoding {
            Encoding::Binary => {
                self.out.extend_from_slice(&[0x80, 0x01, 0x00, ONE_WAY]);
                self.length(method.len());
                self.out.extend_from_slice(method.as_bytes());
                self.out.extend_from_slice(&[0; 4]);
            }
            Encoding::Compact => {
                self.out.extend_from_slice(&[0x82, ONE_WAY << 5 | 1, 0]);
                self.length(method.len());
                self.out.extend_from_slice(method.as_bytes());
            }
        }
        arguments(self);
        self.end();
    }

    fn field(&mut self, number: i16, kind: u8) {
        match self.encoding {
            Encoding::Binary => {
                self.out.push(kind);
                self.out.extend_from_slice(&number.to_be_bytes());
            }
            Encoding::Compact => match number - self.last {
                distance @ 1..=15 => self.out.push((distance as u8) << 4 | kind),
                _ => {
                    self.out.push(kind);
                    self.zigzag(i64::from(number));
                }
            },
        }
        self.last = number;
    }

    fn list_head(&mut self, count: usize) {
        let of_structs = Type::Struct.number(self.encoding);
        match self.encoding {
            Encoding::Binary => {
                self.out.push(of_structs);
                self.length(count);
            }
            Encoding::Compact if count < 15 => self.out.push((count as u8) << 4 | of_structs),
            Encoding::Compact => {
                self.out.push(0xf0 | of_structs);
                self.length(count);
            }
        }
    }

    /// A length; requests are far smaller than 2 GiB.
    fn length(&mut self, length: usize) {
        match self.encoding {
            Encoding::Binary => self.out.extend_from_slice(&(length as u32).to_be_bytes()),
            Encoding::Compact => self.varint(length as u64),
        }
    }

    fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

/// The items of a list of structs.
#[derive(Debug)]
pub struct List<'w> {
    writer: &'w mut Writer,
    count: usize,
}

impl List<'_> {
    /// Adds a struct.
    ///
    /// # Errors
    /// What `fill` reads is damaged.
    pub fn item(&mut self, fill: impl FnOnce(&mut Writer) -> Result<()>) -> Result<()> {
        self.count += 1;
        self.writer.last = 0;
        fill(self.writer)?;
        self.writer.end();
        Ok(())
    }
}
