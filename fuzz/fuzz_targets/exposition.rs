#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_wire::exposition::{Format, Kind, Writer, parse};

fuzz_target!(init: seeds::write("exposition"), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for format in [Format::Prometheus, Format::OpenMetrics] {
        match parse(text, format) {
            Err(error) => assert!(error.line > 0 && !error.message.is_empty()),
            Ok(families) => {
                let samples = families.iter().flat_map(|family| &family.samples);
                for sample in samples {
                    assert_written_again(sample);
                }
            }
        }
    }
});

/// Any sample that was read can be written as a gauge and read again, in both formats.
fn assert_written_again(sample: &trefoil_wire::exposition::Sample<'_>) {
    let labels: Vec<(&str, &str)> =
        sample.labels.iter().map(|(name, value)| (*name, &**value)).collect();
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let mut w = Writer::new(format);
        w.family(sample.name, Kind::Gauge, "", "");
        w.gauge(&labels, sample.value);
        let text = w.finish();
        let families = parse(&text, format).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let again = &families[0].samples[0];
        assert_eq!((again.name, &again.labels), (sample.name, &sample.labels));
        let same = again.value == sample.value || again.value.is_nan() && sample.value.is_nan();
        assert!(same, "{text}");
    }
}
