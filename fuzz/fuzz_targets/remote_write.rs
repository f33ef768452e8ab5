#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, walk};
use trefoil_wire::protobuf::Result;
use trefoil_wire::remote_write::{Histogram, WRITE_REQUEST, WriteRequest, v2};

fuzz_target!(init: seeds::write("remote_write"), |data: &[u8]| {
    if let Err(error) = version_1(data) {
        walk::explain(&error, &WRITE_REQUEST, data);
    }
    if let Err(error) = version_2(data) {
        walk::explain(&error, &v2::REQUEST, data);
    }
});

fn version_1(data: &[u8]) -> Result<()> {
    let request = WriteRequest::new(data)?;
    for series in request.timeseries {
        let series = series?;
        series.labels.iter().try_for_each(|label| label.map(drop))?;
        series.samples.iter().try_for_each(|sample| sample.map(drop))?;
        for exemplar in series.exemplars {
            exemplar?.labels.iter().try_for_each(|label| label.map(drop))?;
        }
        series.histograms.iter().try_for_each(|histogram| look(&histogram?))?;
    }
    request.metadata.iter().try_for_each(|metadata| metadata.map(drop))
}

fn version_2(data: &[u8]) -> Result<()> {
    let request = v2::Request::new(data)?;
    for series in request.timeseries {
        let series = series?;
        let _ = request.labels(series.labels_refs).filter(|pair| pair.is_err()).count();
        series.samples.iter().try_for_each(|sample| sample.map(drop))?;
        for exemplar in series.exemplars {
            let _ = request.labels(exemplar?.labels_refs).count();
        }
        series.histograms.iter().try_for_each(|histogram| look(&histogram?))?;
        if let Some(metadata) = series.metadata {
            let _ = request.symbol(metadata.help_ref);
            let _ = request.symbol(metadata.unit_ref);
        }
    }
    Ok(())
}

fn look(histogram: &Histogram<'_>) -> Result<()> {
    for spans in [histogram.negative_spans, histogram.positive_spans] {
        spans.iter().try_for_each(|span| span.map(drop))?;
    }
    for deltas in [histogram.negative_deltas, histogram.positive_deltas] {
        deltas.iter().try_for_each(|delta| delta.map(drop))?;
    }
    for doubles in [histogram.negative_counts, histogram.positive_counts, histogram.custom_values] {
        doubles.iter().try_for_each(|double| double.map(drop))?;
    }
    Ok(())
}
