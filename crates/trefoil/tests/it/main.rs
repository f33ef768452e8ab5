//! What leaves the process, decoded at the other end of a real socket.
