//! Sections of the network layer, which both servers have.
