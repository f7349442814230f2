//go:build programs

// Package pebble names the programs that ./dev builds, so that `go mod tidy` keeps what they need.
package pebble

import (
	_ "github.com/letsencrypt/pebble/v2/cmd/pebble"
	_ "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"
)
