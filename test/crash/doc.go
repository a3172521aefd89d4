// Package crash finds out what a power cut can leave of a program's files. It records what the program asks of the
// disk, system call by system call, and makes every directory that a disk may be left with that keeps its promises and
// no more: what was synced is there, and of what was not, any part.
package crash
