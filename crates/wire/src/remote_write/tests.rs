use super::*;
use crate::protobuf::ErrorKind;

#[test]
fn every_field_of_a_write_request_comes_back() {
    let mut w = Writer::new();
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    write_series(&mut w, &[("__name__", "up"), ("job", "a")], &[(1.0, 1000), (stale, -5)]);
    w.message(1, |w| {
        w.message(3, |w| {
            w.message(1, |w| {
                w.str(1, "trace_id");
                w.str(2, "ab");
            });
            w.double(2, 0.5);
            w.int(3, 7);
        });
        w.message(4, |w| {
            w.varint(1, 12);
            w.double(3, 18.4);
            w.sint(4, -53);
            w.double(5, 0.001);
            w.varint(6, 2);
            w.message(11, |w| {
                w.sint(1, -2);
                w.varint(2, 3);
            });
            w.packed_varint(12, &[2, 1, 4]);
            w.varint(14, 3);
            w.int(15, 99);
            w.packed_double(16, &[1.0, 2.0]);
        });
    });
    w.message(3, |w| {
        w.varint(1, 3);
        w.str(2, "up");
        w.str(4, "help");
        w.str(5, "s");
    });
    let request = WriteRequest::new(w.as_bytes()).unwrap();
    let series: Vec<_> = request.timeseries.iter().map(Result::unwrap).collect();
    let labels: Vec<_> = series[0].labels.iter().map(Result::unwrap).collect();
    let label = |name, value| Label { name, value };
    assert_eq!(labels, [label("__name__", "up"), label("job", "a")]);
    let samples: Vec<_> = series[0].samples.iter().map(Result::unwrap).collect();
    assert_eq!(samples[0], Sample { value: 1.0, timestamp: 1000, start_timestamp: 0 });
    assert_eq!((samples[1].value.to_bits(), samples[1].timestamp), (stale.to_bits(), -5));
    let exemplar = series[1].exemplars.iter().next().unwrap().unwrap();
    assert_eq!((exemplar.value, exemplar.timestamp), (0.5, 7));
    assert_eq!(exemplar.labels.iter().next().unwrap(), Ok(label("trace_id", "ab")));
    let histogram = series[1].histograms.iter().next().unwrap().unwrap();
    assert_eq!((histogram.count, histogram.sum, histogram.schema), (Count::Int(12), 18.4, -53));
    assert_eq!((histogram.zero_count, histogram.zero_threshold), (Count::Int(2), 0.001));
    let span = histogram.positive_spans.iter().next().unwrap();
    assert_eq!(span, Ok(BucketSpan { offset: -2, length: 3 }));
    let deltas: Vec<_> = histogram.positive_deltas.iter().map(Result::unwrap).collect();
    assert_eq!(deltas, [1, -1, 2]);
    assert_eq!((histogram.reset_hint, histogram.timestamp), (3, 99));
    assert_eq!(histogram.custom_values.iter().count(), 2);
    let metadata = request.metadata.iter().next().unwrap().unwrap();
    let expected = Metadata { kind: 3, metric_family_name: "up", help: "help", unit: "s" };
    assert_eq!(metadata, expected);
}

#[test]
fn an_error_names_the_series_and_label() {
    let mut w = Writer::new();
    write_series(&mut w, &[("__name__", "up")], &[]);
    write_series(&mut w, &[("__name__", "up"), ("job", "?")], &[]);
    let mut bytes = w.into_bytes();
    let at = bytes.iter().position(|&byte| byte == b'?').unwrap();
    bytes[at] = 0xff;
    let request = WriteRequest::new(&bytes).unwrap();
    let series = request.timeseries.iter().nth(1).unwrap().unwrap();
    let error = series.labels.iter().nth(1).unwrap().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Utf8);
    let text = error.explain_translated(&WRITE_REQUEST, &bytes);
    assert_eq!(text, "timeseries[1].labels[1].value: text that is not UTF-8");
}

fn v2_request(references: &[u64]) -> Vec<u8> {
    let mut w = Writer::new();
    for symbol in ["", "__name__", "up", "job", "a", "help text", "s"] {
        w.str(4, symbol);
    }
    w.message(5, |w| {
        w.packed_varint(1, references);
        w.message(2, |w| {
            w.double(1, 2.5);
            w.int(2, 1000);
            w.int(3, 500);
        });
        w.message(5, |w| {
            w.varint(1, 1);
            w.varint(3, 5);
            w.varint(4, 6);
        });
        w.int(6, 400);
    });
    w.into_bytes()
}

#[test]
fn version_2_finds_its_texts_in_the_table() {
    let bytes = v2_request(&[1, 2, 3, 4]);
    let request = v2::Request::new(&bytes).unwrap();
    let series = request.timeseries.iter().next().unwrap().unwrap();
    let labels: Vec<_> = request.labels(series.labels_refs).map(|pair| pair.unwrap()).collect();
    assert_eq!(labels, [("__name__", "up"), ("job", "a")]);
    let sample = series.samples.iter().next().unwrap().unwrap();
    assert_eq!(sample, Sample { value: 2.5, timestamp: 1000, start_timestamp: 500 });
    let metadata = series.metadata.unwrap();
    assert_eq!(metadata.kind, 1);
    assert_eq!(request.symbol(metadata.help_ref), Some("help text"));
    assert_eq!(request.symbol(metadata.unit_ref), Some("s"));
    assert_eq!(series.created_timestamp, 400);
}

#[test]
fn version_2_refuses_references_that_lead_nowhere() {
    let labels = |references: &[u64]| -> std::result::Result<Vec<(String, String)>, String> {
        let bytes = v2_request(references);
        let request = v2::Request::new(&bytes).unwrap();
        let series = request.timeseries.iter().next().unwrap().unwrap();
        let pairs = request.labels(series.labels_refs);
        pairs.map(|pair| pair.map(|(name, value)| (name.into(), value.into()))).collect()
    };
    assert_eq!(labels(&[1, 7]).unwrap_err(), "reference 7 is beyond the 7 symbols");
    let odd = labels(&[1, 2, 3]).unwrap_err();
    assert_eq!(odd, "a label without a value: an odd number of references");
    // A request of version 1 under the name of version 2 has no table.
    let mut w = Writer::new();
    w.message(5, |_| {});
    assert!(v2::Request::new(w.as_bytes()).is_err());
}
