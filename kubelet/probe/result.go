package probe

// Result of a probe.
type Result int

// The results of a probe. Unknown is what a probe that did not run yet has.
const (
	Unknown Result = iota
	Success
	Failure
)

func (r Result) String() string {
	return [...]string{"Unknown", "Success", "Failure"}[r]
}

// Verdict is what the probes of one container instance say.
type Verdict struct{ Startup, Liveness, Readiness Result }
