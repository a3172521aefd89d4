package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A program is a process that we started.
type program struct {
	process *exec.Cmd
	address string
	log     string // the file that takes what it says
	ended   chan struct{}
}

func start(ctx context.Context, name, dir, binary, address string, args ...string) (*program, error) {
	p := &program{process: exec.CommandContext(ctx, binary, args...), address: address, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.process.Stdout, p.process.Stderr = out, out
	p.process.Dir = dir
	// The surroundings must not decide what is measured.
	p.process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TZ=UTC", "OPENAI_ADMIN_KEY=sk-admin-benchmark"}
	if err := p.process.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		defer close(p.ended)
		_ = p.process.Wait() // Its log says how it ended.
	}()
	return p, nil
}

// end ends the process and waits for it.
func (p *program) end() {
	_ = p.process.Process.Signal(syscall.SIGTERM) // An error means that it has ended already.
	<-p.ended
}

// failed is an error with the end of what it said.
func (p *program) failed() error {
	const most = 2000
	said, err := os.ReadFile(p.log)
	if err != nil {
		return err
	}
	return fmt.Errorf("%s said: %s", filepath.Base(p.log), said[max(0, len(said)-most):])
}

// buildExporter builds the program as a release is built: that of a commit or, for "", the one that is here.
func buildExporter(ctx context.Context, dir, commit string) (binary string, err error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/openai-exporter/openai_exporter").Output()
	if err != nil {
		return "", fmt.Errorf("find the exporter: %w", err)
	}
	root := strings.TrimSpace(string(out))
	binary = filepath.Join(dir, "openai_exporter")
	if commit != "" {
		source := filepath.Join(dir, "source-"+commit)
		binary = filepath.Join(dir, "openai_exporter-"+commit)
		if err := os.Mkdir(source, 0o700); err != nil {
			return "", err
		}
		unpack := exec.CommandContext(ctx, "sh", "-c", `git -C "$1" archive "$2" | tar -x -C "$3"`, "sh", root, commit, source)
		if out, err := unpack.CombinedOutput(); err != nil {
			return "", fmt.Errorf("unpack commit %s: %w: %s", commit, err, out)
		}
		root = source
	}
	build := exec.CommandContext(ctx, "go", "build", "-C", root, "-trimpath", "-buildvcs=false", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the exporter: %w: %s", err, out)
	}
	return binary, nil
}

// startExporter starts an exporter with a configuration. Its state is in a directory of its name, and stays.
func startExporter(ctx context.Context, dir, name, binary, config string) (*program, error) {
	path := filepath.Join(dir, name+".yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	return start(ctx, name, dir, binary, address,
		"--config.file="+path, "--storage.path="+filepath.Join(dir, name), "--web.listen-address="+address)
}

// ready waits until the exporter has polled everything.
func (p *program) ready(ctx context.Context, within time.Duration) error {
	return until(ctx, within, func() error {
		select {
		case <-p.ended:
			return p.failed()
		default:
		}
		_, err := body(ctx, "http://"+p.address+"/-/ready")
		return err
	})
}

// cpu is the processor time that the process has used. Each thread's is known to the nanosecond, and Go keeps its threads.
func (p *program) cpu() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.process.Process.Pid))
	if err == nil && len(threads) == 0 {
		err = errors.New("the process has ended")
	}
	total := time.Duration(0)
	for _, t := range threads {
		text, readErr := os.ReadFile(t)
		if readErr != nil {
			return 0, readErr
		}
		used, _, _ := strings.Cut(string(text), " ")
		n, parseErr := strconv.ParseInt(used, 10, 64)
		if parseErr != nil {
			return 0, parseErr
		}
		total += time.Duration(n)
	}
	return total, err
}

// memory is what the kernel says of the process's memory, in bytes.
func (p *program) memory() (map[string]float64, error) {
	return kernel(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid), 1<<10)
}

// sum adds up all samples of a name in the exporter's text.
func (p *program) sum(ctx context.Context, name string) (float64, error) {
	text, err := body(ctx, "http://"+p.address+"/metrics?name[]="+strings.TrimSuffix(name, "_count"))
	if err != nil {
		return 0, err
	}
	total, found := 0.0, false
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok && (rest[0] == '{' || rest[0] == ' ') {
			fields := strings.Fields(line)
			v, err := strconv.ParseFloat(fields[len(fields)-1], 64)
			if err != nil {
				return 0, err
			}
			total, found = total+v, true
		}
	}
	if !found {
		return 0, fmt.Errorf("the exporter has no %s", name)
	}
	return total, nil
}

// freeAddress is one that nothing listened on a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// until asks five times a second until the check finds nothing wrong.
func until(ctx context.Context, within time.Duration, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

func body(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", resp.Status)
	}
	return io.ReadAll(resp.Body)
}
