package monitor

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/jobyard/jobyard/internal/loopback"
)

const (
	// minPassword is the least length of a password: with what guesses cost, one
	// of so many random letters is not found.
	minPassword, maxPassword = 12, 1024
	// sessionCookie holds a session, which lasts for sessionFor.
	sessionCookie = "jobyard_monitor"
	sessionFor    = 12 * time.Hour
	// loginPath is the page that asks for the password.
	loginPath = "/login"
)

// login lets in who knows the password: people by a page and a session, programs
// with each call (Authorization: Bearer PASSWORD, or Basic with any name).
// Sessions are signed, not kept: every monitor with the same password knows them,
// and a new password ends them all.
type login struct {
	sessions signer
	own      []byte // a key of this process, under which passwords are compared
	password []byte
	guesses  *guesses
	now      func() time.Time
	log      zerolog.Logger
}

func newLogin(password string, now func() time.Time, log zerolog.Logger) (*login, error) {
	sessions, err := newSigner(password)
	if err != nil {
		return nil, err
	}
	l := &login{sessions: sessions, own: make([]byte, sha256.Size), guesses: newGuesses(), now: now, log: log}
	rand.Read(l.own) // never fails
	l.password = l.sum(password)
	return l, nil
}

// sum makes texts of any length comparable in constant time.
func (l *login) sum(s string) []byte {
	h := hmac.New(sha256.New, l.own)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// try compares a password. Wrong ones are counted by who sent them; while there
// were too many, none is looked at.
func (l *login) try(r *http.Request, password string) (right bool, wait time.Duration) {
	now := l.now()
	giveBack, wait := l.guesses.take(r.RemoteAddr, now)
	if wait > 0 {
		return false, wait
	}
	if subtle.ConstantTimeCompare(l.sum(password), l.password) != 1 {
		l.log.Warn().Str("from", r.RemoteAddr).Str("path", clean(r.URL.Path, maxName)).Msg("wrong password")
		return false, 0
	}
	giveBack()
	return true, 0
}

// sent is the password that a program sends with a call.
func sent(r *http.Request) (password string, is bool) {
	if _, password, is = r.BasicAuth(); is {
		return password, true
	}
	scheme, password, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(password), strings.EqualFold(scheme, "Bearer")
}

// admit reports until when a request is let in, or how long its sender must
// wait before the next guess.
func (l *login) admit(r *http.Request) (until time.Time, wait time.Duration) {
	if password, is := sent(r); is {
		right, wait := l.try(r, password)
		if right {
			until = l.now().Add(sessionFor)
		}
		return until, wait
	}
	if c, err := r.Cookie(sessionCookie); err == nil {
		until = l.sessions.until(c.Value, l.now())
	}
	return until, 0
}

// guard passes on what comes from somebody who is signed in. A stream ends with
// the session.
func (l *login) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		until, wait := l.admit(r)
		switch {
		case wait > 0:
			tooMany(w, wait)
			problem(w, http.StatusTooManyRequests, "too many wrong passwords: try again in %s", span(wait.Seconds()))
		case !until.IsZero():
			ctx, cancel := context.WithTimeout(r.Context(), until.Sub(l.now()))
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		case forPeople(r):
			http.Redirect(w, r, loginPath+"?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		default:
			// Basic is understood and not named: a browser would ask by itself.
			w.Header().Set("WWW-Authenticate", `Bearer realm="jobyard monitor"`)
			problem(w, http.StatusUnauthorized, "sign in at %s, or send the password as Authorization: Bearer", loginPath)
		}
	})
}

// forPeople reports whether a page was asked for, in place of data.
func forPeople(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func tooMany(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", fmt.Sprint(int(math.Ceil(wait.Seconds()))))
}

// routes adds what is open to everybody: the page that asks, and the way out.
func (l *login) routes(mux *http.ServeMux) {
	page := template.Must(template.New("login").Parse(string(embedded("login.html"))))
	origin := http.NewCrossOriginProtection()
	mux.HandleFunc("GET "+loginPath, func(w http.ResponseWriter, r *http.Request) {
		l.ask(w, page, http.StatusOK, question{Next: within(r.URL.Query().Get("next"))})
	})
	mux.Handle("POST "+loginPath, origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 4*maxPassword)
		q := question{Next: within(r.PostFormValue("next"))}
		right, wait := l.try(r, r.PostFormValue("password"))
		switch {
		case wait > 0:
			q.Problem = fmt.Sprintf("Too many wrong passwords. Try again in %s.", span(wait.Seconds()))
			tooMany(w, wait)
			l.ask(w, page, http.StatusTooManyRequests, q)
		case !right:
			q.Problem = "That is not the password."
			l.ask(w, page, http.StatusUnauthorized, q)
		default:
			l.log.Info().Str("from", r.RemoteAddr).Msg("signed in")
			http.SetCookie(w, cookie(r, l.sessions.sign(l.now().Add(sessionFor)), int(sessionFor.Seconds())))
			http.Redirect(w, r, q.Next, http.StatusSeeOther)
		}
	})))
	mux.HandleFunc("GET "+loginPath+"/session", func(w http.ResponseWriter, r *http.Request) {
		if until, _ := l.admit(r); until.IsZero() {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, map[string]bool{"signed_in": true})
	})
	mux.Handle("POST /logout", origin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, cookie(r, "", -1))
		http.Redirect(w, r, loginPath, http.StatusSeeOther)
	})))
}

// question is what the page that asks for the password says.
type question struct{ Next, Problem string }

func (l *login) ask(w http.ResponseWriter, page *template.Template, status int, q question) {
	var out bytes.Buffer
	if err := page.Execute(&out, q); err != nil {
		panic("monitor: page login: " + err.Error()) // our own file
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.WriteHeader(status)
	w.Write(out.Bytes()) //nolint:errcheck // the client went away
}

func cookie(r *http.Request, value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode,
		// A proxy may speak TLS for us.
		Secure: r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https"),
	}
}

// within keeps the way back on this server: a path of it, or its first page.
func within(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.IsAbs() || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") || strings.HasPrefix(u.Path, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r < ' ' || r == '\\' }) || u.Path == loginPath {
		return "/"
	}
	return u.RequestURI()
}

// RemoteError tells that a monitor without a password would be reached by other
// machines.
type RemoteError struct{ Listen string }

// Error says what to do.
func (e *RemoteError) Error() string {
	return fmt.Sprintf("without a password the monitor serves this machine only, and %s is open to others: write a password of at least %d letters into a file and name it with --page-password-file (JOBYARD_PAGE_PASSWORD_FILE), "+
		"listen on 127.0.0.1, or allow everybody who reaches it to look with --allow-remote (JOBYARD_ALLOW_REMOTE=true)", e.Listen, minPassword)
}

// Welcome says in a sentence who is let in by a monitor that listens there. It
// fails where everybody would be and that is not allowed.
func (c Config) Welcome(listen string) (string, error) {
	may := "look"
	if !c.ReadOnly || !c.AsynqmonReadOnly {
		may = "look and change things"
	}
	switch {
	case c.Password != "":
		return "who has the password may " + may, nil
	case loopback.Is(listen):
		return "no password is set: whoever is on this machine may " + may, nil
	case c.AllowRemote:
		return "no password is set: whoever reaches the address may " + may, nil
	}
	return "", &RemoteError{listen}
}
