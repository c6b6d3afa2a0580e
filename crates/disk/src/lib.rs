//! Files, mapped files and clocks, real and simulated.
