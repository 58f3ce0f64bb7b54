package scheduler

import "sync"

// pool runs jobs in order of arrival, at most limit at a time, without ever making the caller wait.
type pool struct {
	limit int

	mu      sync.Mutex
	running int
	jobs    []func()
	idle    sync.WaitGroup
}

// do runs job soon.
func (p *pool) do(job func()) {
	p.mu.Lock()
	if p.running >= p.limit {
		p.jobs = append(p.jobs, job)
		p.mu.Unlock()
		return
	}
	p.running++
	p.idle.Add(1)
	p.mu.Unlock()
	go p.work(job)
}

// backlog is how many jobs wait.
func (p *pool) backlog() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.jobs)
}

func (p *pool) work(job func()) {
	defer p.idle.Done()
	for {
		job()
		p.mu.Lock()
		if len(p.jobs) == 0 {
			p.running--
			p.jobs = nil
			p.mu.Unlock()
			return
		}
		job = p.jobs[0]
		p.jobs[0] = nil
		p.jobs = p.jobs[1:]
		p.mu.Unlock()
	}
}

// wait returns when nothing runs any more.
func (p *pool) wait() { p.idle.Wait() }
