import CLinux

/// Gives memory that the process has freed back to the system.
package func releaseMemory() { clinux_release_memory() }
