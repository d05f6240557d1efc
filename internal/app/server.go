package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

// Bounds of every HTTP server.
const (
	headerTimeout  = 5 * time.Second // a client that trickles its headers is cut off
	idleTimeout    = 60 * time.Second
	maxHeaderBytes = 32 << 10
	maxConnections = 1024
	// ShutdownGrace is how long requests under way may go on after the end.
	ShutdownGrace = 10 * time.Second
)

// ListenError tells that an address could not be listened on.
type ListenError struct {
	Address string
	Flag    string // that chooses it
	Err     error
}

// Error says why and which flag chooses another address.
func (e *ListenError) Error() string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("cannot listen on %s: another process has this port; end it, or choose another with --%s", e.Address, e.Flag)
	case errors.Is(e.Err, syscall.EACCES):
		return fmt.Sprintf("cannot listen on %s: this user may not use that port; choose one above 1023 with --%s", e.Address, e.Flag)
	}
	return fmt.Sprintf("cannot listen on %s (%v); choose another address with --%s", e.Address, e.Err, e.Flag)
}

// Unwrap returns the cause.
func (e *ListenError) Unwrap() error { return e.Err }

// InUse reports whether err tells that a port is taken.
func InUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// Listen takes an address before anything is served there, so that a taken port
// fails the start. Flag is named in the error. The error is a *ListenError.
func Listen(ctx context.Context, address, flag string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &ListenError{Address: address, Flag: flag, Err: err}
	}
	return l, nil
}

// Serve answers requests on l until the App is closed; those under way then have
// ShutdownGrace. WriteTimeout bounds a request from its headers to the end of
// its answer.
func (a *App) Serve(name string, l net.Listener, h http.Handler, writeTimeout time.Duration) {
	a.ServeWith(name, l, h, ServerConfig{WriteTimeout: writeTimeout})
}

// ServerConfig is how a server serves.
type ServerConfig struct {
	// WriteTimeout bounds a request from its headers to the end of its answer.
	WriteTimeout time.Duration
	// MaxConnections bounds the open connections; 0 means maxConnections.
	MaxConnections int
	// TLS is set for https.
	TLS *tls.Config
}

// ServeWith is Serve with all there is to choose.
func (a *App) ServeWith(name string, l net.Listener, h http.Handler, cfg ServerConfig) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, WriteTimeout: cfg.WriteTimeout, TLSConfig: cfg.TLS,
		MaxHeaderBytes: maxHeaderBytes, ErrorLog: stdlog.New(a.log.With().Str("part", name).Logger(), "", 0),
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = maxConnections
	}
	serve := server.Serve
	if cfg.TLS != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := serve(netutil.LimitListener(l, cfg.MaxConnections)); !errors.Is(err, http.ErrServerClosed) {
			a.stop(fmt.Errorf("%s: %w", name, err))
		}
	}()
	a.OnClose(name, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), ShutdownGrace) // the App's own has ended
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close()
		}
		<-ended
		return err
	})
	a.log.Info().Str("part", name).Str("address", l.Addr().String()).Bool("tls", cfg.TLS != nil).Msg("listening")
}
