//! Every function with its signature.

use super::super::ast::Type;

/// A function's name and signature.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    /// As it is written.
    pub(crate) name: &'static str,
    /// Which one.
    pub(crate) id: Func,
    /// Types of the arguments; the last repeats where more are allowed.
    pub(crate) args: &'static [Type],
    /// How many of the listed arguments may be left out.
    pub(crate) optional: usize,
    /// Whether the last argument may repeat any number of times.
    pub(crate) repeats: bool,
    /// Type of the result.
    pub(crate) returns: Type,
}

macro_rules! functions {
    ($($name:literal $id:ident ( $($arg:ident),* ) $optional:literal $repeats:literal -> $returns:ident;)*) => {
        /// The functions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Func { $($id),* }

        /// All functions, sorted by name.
        pub(crate) static FUNCTIONS: &[Function] = &[
            $(Function {
                name: $name,
                id: Func::$id,
                args: &[$(Type::$arg),*],
                optional: $optional,
                repeats: $repeats,
                returns: Type::$returns,
            }),*
        ];
    };
}

// Source: Prometheus 3 documentation, "Query functions", the experimental ones included.
functions! {
    "abs" Abs (Vector) 0 false -> Vector;
    "absent" Absent (Vector) 0 false -> Vector;
    "absent_over_time" AbsentOverTime (Matrix) 0 false -> Vector;
    "acos" Acos (Vector) 0 false -> Vector;
    "acosh" Acosh (Vector) 0 false -> Vector;
    "asin" Asin (Vector) 0 false -> Vector;
    "asinh" Asinh (Vector) 0 false -> Vector;
    "atan" Atan (Vector) 0 false -> Vector;
    "atanh" Atanh (Vector) 0 false -> Vector;
    "avg_over_time" AvgOverTime (Matrix) 0 false -> Vector;
    "ceil" Ceil (Vector) 0 false -> Vector;
    "changes" Changes (Matrix) 0 false -> Vector;
    "clamp" Clamp (Vector, Scalar, Scalar) 0 false -> Vector;
    "clamp_max" ClampMax (Vector, Scalar) 0 false -> Vector;
    "clamp_min" ClampMin (Vector, Scalar) 0 false -> Vector;
    "cos" Cos (Vector) 0 false -> Vector;
    "cosh" Cosh (Vector) 0 false -> Vector;
    "count_over_time" CountOverTime (Matrix) 0 false -> Vector;
    "day_of_month" DayOfMonth (Vector) 1 false -> Vector;
    "day_of_week" DayOfWeek (Vector) 1 false -> Vector;
    "day_of_year" DayOfYear (Vector) 1 false -> Vector;
    "days_in_month" DaysInMonth (Vector) 1 false -> Vector;
    "deg" Deg (Vector) 0 false -> Vector;
    "delta" Delta (Matrix) 0 false -> Vector;
    "deriv" Deriv (Matrix) 0 false -> Vector;
    "double_exponential_smoothing" DoubleExponentialSmoothing (Matrix, Scalar, Scalar) 0 false -> Vector;
    "end" End () 0 false -> Scalar;
    "exp" Exp (Vector) 0 false -> Vector;
    "first_over_time" FirstOverTime (Matrix) 0 false -> Vector;
    "floor" Floor (Vector) 0 false -> Vector;
    "histogram_avg" HistogramAvg (Vector) 0 false -> Vector;
    "histogram_count" HistogramCount (Vector) 0 false -> Vector;
    "histogram_fraction" HistogramFraction (Scalar, Scalar, Vector) 0 false -> Vector;
    "histogram_quantile" HistogramQuantile (Scalar, Vector) 0 false -> Vector;
    "histogram_quantiles" HistogramQuantiles (Vector, String, Scalar) 0 true -> Vector;
    "histogram_stddev" HistogramStddev (Vector) 0 false -> Vector;
    "histogram_stdvar" HistogramStdvar (Vector) 0 false -> Vector;
    "histogram_sum" HistogramSum (Vector) 0 false -> Vector;
    "hour" Hour (Vector) 1 false -> Vector;
    "idelta" Idelta (Matrix) 0 false -> Vector;
    "increase" Increase (Matrix) 0 false -> Vector;
    "info" Info (Vector, Vector) 1 false -> Vector;
    "irate" Irate (Matrix) 0 false -> Vector;
    "label_join" LabelJoin (Vector, String, String, String) 1 true -> Vector;
    "label_replace" LabelReplace (Vector, String, String, String, String) 0 false -> Vector;
    "last_over_time" LastOverTime (Matrix) 0 false -> Vector;
    "ln" Ln (Vector) 0 false -> Vector;
    "log10" Log10 (Vector) 0 false -> Vector;
    "log2" Log2 (Vector) 0 false -> Vector;
    "mad_over_time" MadOverTime (Matrix) 0 false -> Vector;
    "max_of" MaxOf (Scalar, Scalar) 0 false -> Scalar;
    "max_over_time" MaxOverTime (Matrix) 0 false -> Vector;
    "min_of" MinOf (Scalar, Scalar) 0 false -> Scalar;
    "min_over_time" MinOverTime (Matrix) 0 false -> Vector;
    "minute" Minute (Vector) 1 false -> Vector;
    "month" Month (Vector) 1 false -> Vector;
    "pi" Pi () 0 false -> Scalar;
    "predict_linear" PredictLinear (Matrix, Scalar) 0 false -> Vector;
    "present_over_time" PresentOverTime (Matrix) 0 false -> Vector;
    "quantile_over_time" QuantileOverTime (Scalar, Matrix) 0 false -> Vector;
    "rad" Rad (Vector) 0 false -> Vector;
    "range" Range () 0 false -> Scalar;
    "rate" Rate (Matrix) 0 false -> Vector;
    "resets" Resets (Matrix) 0 false -> Vector;
    "round" Round (Vector, Scalar) 1 false -> Vector;
    "scalar" Scalar (Vector) 0 false -> Scalar;
    "sgn" Sgn (Vector) 0 false -> Vector;
    "sin" Sin (Vector) 0 false -> Vector;
    "sinh" Sinh (Vector) 0 false -> Vector;
    "sort" Sort (Vector) 0 false -> Vector;
    "sort_by_label" SortByLabel (Vector, String) 1 true -> Vector;
    "sort_by_label_desc" SortByLabelDesc (Vector, String) 1 true -> Vector;
    "sort_desc" SortDesc (Vector) 0 false -> Vector;
    "sqrt" Sqrt (Vector) 0 false -> Vector;
    "start" Start () 0 false -> Scalar;
    "start_timestamp" StartTimestamp (Vector) 0 false -> Vector;
    "stddev_over_time" StddevOverTime (Matrix) 0 false -> Vector;
    "stdvar_over_time" StdvarOverTime (Matrix) 0 false -> Vector;
    "step" Step () 0 false -> Scalar;
    "sum_over_time" SumOverTime (Matrix) 0 false -> Vector;
    "tan" Tan (Vector) 0 false -> Vector;
    "tanh" Tanh (Vector) 0 false -> Vector;
    "time" Time () 0 false -> Scalar;
    "timestamp" Timestamp (Vector) 0 false -> Vector;
    "ts_of_first_over_time" TsOfFirstOverTime (Matrix) 0 false -> Vector;
    "ts_of_last_over_time" TsOfLastOverTime (Matrix) 0 false -> Vector;
    "ts_of_max_over_time" TsOfMaxOverTime (Matrix) 0 false -> Vector;
    "ts_of_min_over_time" TsOfMinOverTime (Matrix) 0 false -> Vector;
    "vector" Vector (Scalar) 0 false -> Vector;
    "year" Year (Vector) 1 false -> Vector;
}

/// Finds a function. `start`, `end`, `step`, `range`, `min_of` and `max_of` are keywords
/// and may be written in any case; all others are case-sensitive.
pub(crate) fn find(name: &str) -> Option<&'static Function> {
    let exact = FUNCTIONS.binary_search_by(|f| f.name.cmp(name)).ok();
    if let Some(at) = exact {
        return Some(&FUNCTIONS[at]);
    }
    let keyword = ["start", "end", "step", "range", "min_of", "max_of"]
        .into_iter()
        .find(|k| k.eq_ignore_ascii_case(name))?;
    FUNCTIONS.iter().find(|f| f.name == keyword)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_function_is_found() {
        assert!(FUNCTIONS.is_sorted_by(|a, b| a.name < b.name));
        for f in FUNCTIONS {
            assert_eq!(find(f.name), Some(f));
        }
        assert_eq!(find("STep").map(|f| f.id), Some(Func::Step));
        assert!(find("RATE").is_none());
    }
}
