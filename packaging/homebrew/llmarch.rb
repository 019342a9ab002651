# A formula for a tap: brew install OWNER/tap/llmarch
# scripts/release.py sets the version and the hash of the sdist.
class Llmarch < Formula
  desc "Tells what an LLM's architecture is, and what changed between two of them"
  homepage "https://github.com/OWNER/llmarch"
  url "https://github.com/OWNER/llmarch/releases/download/v0.1.0/llmarch-0.1.0.tar.gz"
  sha256 "0000000000000000000000000000000000000000000000000000000000000000"
  license "Apache-2.0"

  depends_on "python@3.13"

  def install
    system Formula["python@3.13"].opt_bin/"python3.13", "-m", "venv", libexec
    system libexec/"bin/pip", "install", "--no-cache-dir", "#{buildpath}[png,pdf]"
    bin.install_symlink libexec/"bin/llmarch"
    generate_completions_from_executable(bin/"llmarch", shell_parameter_format: :typer)
  end

  test do
    assert_match "94 × GQA + MoE", shell_output("#{bin}/llmarch show qwen3-235b")
  end
end
