// An OpenID provider for the tests of the gateway: Zitadel's certified library with the users of its example (test-user@localhost, whose password is
// verysecure), on a port of loopback. Its keys are made at each start.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"golang.org/x/exp/slog"
)

// Arguments: the port, and where its clients `web` and `api`, whose secret is `secret`, may have browsers sent back to.
func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: openid-provider PORT REDIRECT_URI...")
		os.Exit(2)
	}
	port, redirects := os.Args[1], os.Args[2:]
	issuer := fmt.Sprintf("http://localhost:%s/", port)
	storage.RegisterClients(
		storage.WebClient("web", "secret", redirects...),
		storage.WebClient("api", "secret", redirects...),
	)
	users := storage.NewStorage(storage.NewUserStore(issuer))
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	router := exampleop.SetupServer(issuer, users, logger, false)
	if err := http.ListenAndServe("127.0.0.1:"+port, router); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
