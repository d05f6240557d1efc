// Package config turns flags and environment variables into the settings of the
// rooms, for the four programs.
//
// It promises that each setting has a flag and a variable (JOBYARD_ and the
// flag's name; REDIS_URL for --redis-url), that the defaults shown are those of
// the rooms' DefaultConfig, and that a wrong setting ends the program with
// code 2 and a sentence that names the flag. Nobody else reads the environment.
package config
