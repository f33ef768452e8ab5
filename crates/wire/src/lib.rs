//! Bytes to views and back, for the protocols the field speaks. No IO.
