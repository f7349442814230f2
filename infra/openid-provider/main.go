// An OpenID provider for tests: Zitadel's certified library with the users of its example (test-user@localhost and test-user2, whose password is
// verysecure), on a port of loopback. Its keys are made at each start.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/exp/slog"
)

// users tells, beside what the example does, the groups of everybody: the lines of a file, as it is at the time.
type users struct {
	*storage.Storage
	groups string
}

func (u users) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, tokenID, subject, origin string) error {
	if err := u.Storage.SetUserinfoFromToken(ctx, info, tokenID, subject, origin); err != nil || u.groups == "" {
		return err
	}
	text, err := os.ReadFile(u.groups)
	if err != nil {
		return err
	}
	info.AppendClaims("groups", strings.Fields(string(text)))
	return nil
}

// Options come first: -certificate and -key (PEM files; without them it speaks no TLS), -groups. Arguments: the port, and where its clients
// `web` and `api`, whose secret is `secret`, may have browsers sent back to.
func main() {
	certificate := flag.String("certificate", "", "PEM file with the certificate of localhost")
	key := flag.String("key", "", "PEM file with its key")
	groups := flag.String("groups", "", "file with the groups of everybody")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage: openid-provider [-certificate FILE -key FILE] [-groups FILE] PORT REDIRECT_URI...")
		os.Exit(2)
	}
	port, redirects := flag.Arg(0), flag.Args()[1:]
	scheme := "http"
	if *certificate != "" {
		scheme = "https"
	}
	issuer := fmt.Sprintf("%s://localhost:%s/", scheme, port)
	storage.RegisterClients(
		storage.WebClient("web", "secret", redirects...),
		storage.WebClient("api", "secret", redirects...),
	)
	known := users{storage.NewStorage(storage.NewUserStore(issuer)), *groups}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	router := exampleop.SetupServer(issuer, known, logger, false)
	address := "127.0.0.1:" + port
	var err error
	if *certificate == "" {
		err = http.ListenAndServe(address, router)
	} else {
		err = http.ListenAndServeTLS(address, *certificate, *key, router)
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
